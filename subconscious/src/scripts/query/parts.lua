-- parts.lua: counts rows by the zones of parts. A library for queries. Other scripts include this
-- file after offsets.lua. KEYS, ARGV and Returns are those of the including script.
--
-- Exports   ranges_of(residual)     the ranges of a residual filter, if it is nothing but ranges of
--                                   numbers that are ANDed, as Rust knows them; else nil
--           are_parts_cheaper(ranges)   whether this is cheaper than reading the members of the
--                                   shortest range
--           count_parts(filter, ranges, segment)   the number of rows that match, from a segment on.
--                                   Then the segment to go on with, or -1, and a list: for each part
--                                   that zones do not decide, its number and its rows that match the
--                                   filter without the ranges, as bits or a list of offsets

local function ranges_of(residual)
  local ranges = parts_of('and', residual)
  for _, range in ipairs(ranges) do
    if range[1] ~= 'range' or range.nested or range[3] == KIND_BYTES then return nil end
  end
  return ranges
end

-- Whether all (true) or none (false) of the rows of a zone are in the ranges; nil if the zones do
-- not decide it. The zone begins and ends at these bytes of a part.
local function verdict(ranges, part, first, last)
  local all = true
  for _, range in ipairs(ranges) do
    local zone = call('GETRANGE', p .. KEY_SCORES .. range[2] .. ':' .. decimal[part], first, last)
    effort = effort + ZONE_READ
    if #zone < ZONE then return false end
    local least, greatest = struct.unpack('<dd', zone)
    local low, high = range.low and range.low[1] or -math.huge, range.high and range.high[1] or math.huge
    if greatest < low or least > high then return false end
    -- A score that equals a bound does not decide it. Without a bound, any score is beyond it.
    local after_low, before_high = not range.low or least > low, not range.high or greatest < high
    all = all and after_low and before_high
  end
  return all or nil
end

local function are_parts_cheaper(ranges)
  local along = math.huge
  for _, range in ipairs(ranges) do along = math.min(along, range.size * ROW_ALONG) end
  local most = handed / PART * #ranges * (ZONE_READ + PART_READ)
  if along >= most then return true end
  -- How many parts are read depends on their zones, so some of these are looked at.
  local first, open = floor(segments / 2) * PARTS, 0
  local last = math.min(first + PARTS, math.ceil(handed / PART)) - 1
  for part = first, last do
    if verdict(ranges, part, PART_ZONE, PART_ZONE_END) == nil then open = open + 1 end
  end
  return along >= handed / PART * #ranges * (ZONE_READ + PART_READ * open / math.max(last - first + 1, 1))
end

local function count_parts(filter, ranges, segment)
  local n, pieces = 0, {}
  for segment = segment, segments - 1 do
    local whole, set, offsets_of = verdict(ranges, segment * PARTS, SEGMENT_ZONE, SEGMENT_ZONE_END), nil, nil
    if whole ~= false then set = evaluate(filter, segment) end
    if whole then
      n = n + size(set)
      set = nil
    elseif type(set) == 'table' then
      offsets_of = {}
      for _, offset in ipairs(set) do
        local within = offset % PART
        local part = (offset - within) / PART
        offsets_of[part] = offsets_of[part] or {}
        table.insert(offsets_of[part], within)
      end
    end
    -- The first byte of the parts before this one that are all counted.
    local begun
    local bytes = type(set) == 'string' and call('STRLEN', set) or 0
    for part = 0, set and PARTS - 1 or -1 do
      local first = part * PART / 8
      local some = offsets_of and offsets_of[part]
      local all = (some or first < bytes) and verdict(ranges, segment * PARTS + part, PART_ZONE, PART_ZONE_END)
      if some and all then n = n + #some end
      if all and not offsets_of then begun = begun or first end
      if all == nil or not all and begun then
        if begun then n = n + call('BITCOUNT', set, decimal[begun], decimal[first - 1]) end
        begun = nil
      end
      if all == nil and (some or first < bytes) then
        pieces[#pieces + 1] = segment * PARTS + part
        pieces[#pieces + 1] = some or call('GETRANGE', set, decimal[first], decimal[first + PART / 8 - 1])
        effort = effort + PIECE_READ
      end
    end
    if begun then n = n + call('BITCOUNT', set, decimal[begun], '-1') end
    release()
    if segment < segments - 1 and spent(SEGMENT_SCANNED) then return n, segment + 1, pieces end
  end
  return n, -1, pieces
end
