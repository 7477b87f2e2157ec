-- check_entries.lua: finds entries of one key of an index that no record has. This file includes
-- rows.lua, inspect.lua and ids.lua.
--
-- KEYS[1], ARGV[1] and the following: see inspect.lua
-- then      the key
--           what the key is: list (a posting list), set or bitmap (a container), sorted, scores,
--           unique, directory (a hash), ttl, expiring, or unused if nothing uses it
--           the column's number, from 1; 0 for none
--           segment of a container, part of scores, or chunk of a hash
--           value if a container has a value, else ""
--           the value
--           where to continue; 0 at first
--
-- Returns   { where to continue (0 if this was all, twin if the bitmap of the same value is to be
--           read next), number of entries read, found }: see inspect.lua

-- include shared/rows.lua
-- include upkeep/inspect.lua

local key, what, i = ARGV[rest + 1], ARGV[rest + 2], tonumber(ARGV[rest + 3])
local part, value, cursor = tonumber(ARGV[rest + 4]), ARGV[rest + 5] == 'value' and ARGV[rest + 6], ARGV[rest + 7]
local name, index, kind, unique = ARGV[names + i], INDEX_NONE, nil, nil
if i > 0 then
  index, kind, unique = byte(ARGV[specs + i], 1, 3)
end

local of_column = (what == 'list' or what == 'set' or what == 'bitmap') and (index ~= INDEX_NONE and (index ~= INDEX_SORTED or not value))
  or (what == 'sorted' or what == 'scores' and kind ~= KIND_BYTES) and (index == INDEX_SORTED or index == INDEX_BOTH) or what == 'unique' and unique == INDEX_UNIQUE
local types = {
  list = 'set', set = 'set', bitmap = 'string', sorted = 'zset', scores = 'string', unique = 'hash', directory = 'hash', ttl = 'zset', expiring = 'hash',
}
if not of_column and what ~= 'directory' and what ~= 'ttl' and what ~= 'expiring' then
  report('unused', key, nil, nil, true)
  if repair then call('UNLINK', key) end
  return { 0, 0, found }
elseif not has_type(key, types[what]) then
  -- check_rows.lua then adds the entries that are missing.
  report('type', key, nil, call('TYPE', key).ok, what ~= 'directory')
  if repair and what ~= 'directory' then call('UNLINK', key) end
  return { 0, 0, found }
end

-- include shared/elements.lua
-- Whether a record with this stored value belongs in this container.
local function belongs(stored)
  if kind ~= KIND_LIST or not stored or not value then return plain(kind, stored) == value end
  local changes = elements(nil, stored)
  for at = 1, #changes, 2 do
    if changes[at] == value then return true end
  end
  return false
end

-- The key of the row's record, and the record's value of the column. Nothing if there is no such
-- record, true if it has expired.
local function record(row)
  if not is_live(row) then return end
  if is_due(row) then return true end
  local id = id_in(entry_of(row))
  local of = id and p .. KEY_RECORD .. id
  local fields = of and fields_of(of, '#', name or '#')
  if fields and fields[1] == text('%d', row) then return of, fields[2] end
end

local next, count = '0', 0
local function stale(row, remove, ...)
  report('stale', key, nil, row, true)
  if repair then call(remove, key, ...) end
end
-- Notes that the value has a container less.
local function vanished()
  local divided, place = p .. KEY_DIVIDED .. name, value and ':' .. value or ''
  if has_type(divided, 'hash') and call('HINCRBY', divided, place, -1) <= 0 then call('HDEL', divided, place) end
end
if what == 'list' then
  local reply = call('SSCAN', key, cursor, 'COUNT', 64)
  next = reply[1]
  for _, member in ipairs(reply[2]) do
    local of, stored = record(tonumber(member))
    if of ~= true and not (of and belongs(stored)) then stale(member, 'SREM', member) end
    count = count + 1
  end
elseif what == 'set' then
  local twin = p .. KEY_BITMAP .. sub(key, #p + #KEY_SET + 1)
  if call('EXISTS', twin) == 1 and has_type(twin, 'string') then
    report('twice', key, nil, nil, true)
    if repair then
      -- Writes use the bitmap, so the rows of the set are moved to it.
      for _, member in ipairs(call('SMEMBERS', key)) do
        local offset = tonumber(member)
        if offset and offset >= 0 and offset < SEGMENT and offset % 1 == 0 then call('SETBIT', twin, member, 1) end
      end
      call('UNLINK', key)
    end
    return { repair and 'twin' or 0, 0, found }
  end
  local reply = call('SSCAN', key, cursor, 'COUNT', 64)
  next = reply[1]
  for _, member in ipairs(reply[2]) do
    local offset = tonumber(member)
    local of, stored
    if offset and offset < SEGMENT then of, stored = record(part * SEGMENT + offset) end
    if of ~= true and not (of and belongs(stored)) then
      stale(member, 'SREM', member)
      if repair and call('EXISTS', key) == 0 then vanished() end
    end
    count = count + 1
  end
elseif what == 'bitmap' then
  local at = call('BITPOS', key, 1, cursor)
  if at >= 0 then
    local first = floor(at / 8)
    for _, offset in ipairs(bits()(call('GETRANGE', key, first, first + 15))) do
      offset = first * 8 + offset
      local of, stored = record(part * SEGMENT + offset)
      if of ~= true and not (of and belongs(stored)) then stale(text('%d', offset), 'SETBIT', text('%d', offset), 0) end
      count = count + 1
    end
    if first + 16 < call('STRLEN', key) then next = text('%d', first + 16) end
  end
  if next == '0' and repair and call('EXISTS', key) == 1 and call('BITCOUNT', key) <= DEMOTE then
    local left = bits()(call('GET', key))
    call('DEL', key)
    if #left > 0 then call('SADD', p .. KEY_SET .. sub(key, #p + #KEY_SET + 1), unpack(left)) else vanished() end
  end
elseif what == 'sorted' then
  local reply, sort_key = call('ZSCAN', key, cursor, 'COUNT', 64), places()
  next = reply[1]
  for at = 1, #reply[2], 2 do
    local member = reply[2][at]
    local row = #member >= 4 and struct.unpack('>I4', sub(member, -4)) or -1
    local of, stored = record(row)
    local tail
    if of and of ~= true and stored then
      local _, before = sort_key(kind, stored)
      tail = before
    end
    if of ~= true and tail ~= sub(member, 1, -5) then stale(text('%d', row), 'ZREM', member) end
    count = count + 1
  end
elseif what == 'scores' then
  local first, sort_key = tonumber(cursor), places()
  -- Most slots may be empty.
  local bytes = call('GETRANGE', key, ZONES + first * SCORE, ZONES + (first + 1024) * SCORE - 1)
  if #bytes == 1024 * SCORE and first + 1024 < PART then next = text('%d', first + 1024) end
  for at = 1, #bytes, SCORE do
    local stored, slot = sub(bytes, at, at + SCORE - 1), first + (at - 1) / SCORE
    if string.find(stored, '[^%z]') then
      if count == 64 then
        next = text('%d', slot)
        break
      end
      local row = part * PART + slot
      local of, value = record(row)
      local score = of and of ~= true and value and sort_key(kind, value)
      -- check_rows.lua finds scores that differ from the record's.
      if of ~= true and not score then stale(text('%d', row), 'SETRANGE', text('%d', ZONES + slot * SCORE), '\0\0\0\0\0\0\0\0') end
      count = count + 1
    end
  end
  if next == '0' then
    local least, greatest
    bytes = call('GETRANGE', key, ZONES, -1)
    for at = 1, #bytes - SCORE + 1, SCORE do
      local number = struct.unpack('<d', bytes, at)
      if number ~= 0 or byte(bytes, at + SCORE - 1) ~= 0 then
        least, greatest = math.min(least or number, number), math.max(greatest or number, number)
      end
    end
    local beginning = p .. KEY_SCORES .. name .. ':'
    local of_segment = beginning .. text('%d', part - part % PARTS)
    local function zone(of, first, last)
      local bytes = call('GETRANGE', of, first, last)
      if #bytes < ZONE then return math.huge, -math.huge end
      return struct.unpack('<dd', bytes)
    end
    if least then
      -- The zone of the segment has that of the part, and not just its scores.
      local low, high = zone(key, PART_ZONE, PART_ZONE_END)
      local lowest, highest = zone(of_segment, SEGMENT_ZONE, SEGMENT_ZONE_END)
      if low > least or high < greatest or lowest > low or highest < high then report('count', key, nil, 'the least or the greatest value', true) end
    end
    if least and repair then
      -- Values that are gone may have left the zones too wide.
      call('SETRANGE', key, PART_ZONE, struct.pack('<dd', least, greatest))
      for at = part - part % PARTS, part - part % PARTS + PARTS - 1 do
        local low, high = zone(beginning .. text('%d', at), PART_ZONE, PART_ZONE_END)
        least, greatest = math.min(least, low), math.max(greatest, high)
      end
      call('SETRANGE', of_segment, SEGMENT_ZONE, struct.pack('<dd', least, greatest))
    end
  end
elseif what == 'unique' then
  local reply = call('HSCAN', key, cursor, 'COUNT', 64)
  next = reply[1]
  for at = 1, #reply[2], 2 do
    local owned, row = reply[2][at], reply[2][at + 1]
    local of, stored = record(tonumber(row))
    if of ~= true and not (of and plain(kind, stored) == owned) then stale(row, 'HDEL', owned) end
    count = count + 1
  end
elseif what == 'ttl' then
  -- check_rows.lua checks the deadlines.
  local reply = call('ZSCAN', key, cursor, 'COUNT', 64)
  next = reply[1]
  for at = 1, #reply[2], 2 do
    local mark = reply[2][at]
    local row = tonumber(mark)
    if not is_live(row) then
      stale(mark, 'ZREM', mark)
      if repair and row then call('HDEL', p .. KEY_EXPIRING .. floor(row / CHUNK), row % CHUNK) end
    end
    count = count + 1
  end
else
  -- A chunk of the row directory, or of what is kept for records that expire.
  local reply = call('HSCAN', key, cursor, 'COUNT', 64)
  next = reply[1]
  for at = 1, #reply[2], 2 do
    local slot = tonumber(reply[2][at])
    local row = slot and slot >= 0 and slot < CHUNK and part * CHUNK + slot or -1
    if not is_live(row) or what == 'expiring' and not call('ZSCORE', p .. KEY_TTL, text('%d', row)) then
      stale(text('%d', row), 'HDEL', reply[2][at])
    end
    count = count + 1
  end
end
return { tonumber(next) == 0 and 0 or next, count, found }
