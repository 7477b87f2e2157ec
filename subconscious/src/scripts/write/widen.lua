-- widen.lua: widens a zone. Other scripts include this file in place. KEYS, ARGV and Returns are
-- those of the including script. This file uses these locals of that script:
--
-- low, high   what the zone has to have; `low` is false if nothing
-- zone        the zone as it is stored, shorter if there is none; set here to the new zone, false
--             if it stays, or nil if there is none
if #zone < ZONE then
  zone = low and struct.pack('<dd', low, high) or nil
else
  local least, greatest = struct.unpack('<dd', zone)
  zone = false
  if low and (low < least or high > greatest) then
    -- An eighth more, so that the zone of a column that grows changes a few times, and not with
    -- each row.
    local more = (math.max(high, greatest) - math.min(low, least)) / 8
    if more ~= more or more == math.huge then more = 0 end
    if low < least then least = low - more end
    if high > greatest then greatest = high + more end
    zone = struct.pack('<dd', least, greatest)
  end
end
