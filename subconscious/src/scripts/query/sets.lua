-- sets.lua: sets of rows of one segment. A library for queries. Other scripts include this file
-- after scratch.lua. KEYS, ARGV and Returns are those of the including script.
--
-- A set is nil, the key of a bitmap (a string), or a list of offsets (a table). An empty set may be
-- nil or a bitmap without bits.
--
-- Exports   bits(bytes)                the offsets in a bitmap
--           size(set)                  number of rows in the set
--           lookup(list)               a table that has true at each value of a list
--           member_test(set, times)    a function that says whether an offset is in the set.
--                                      `times` is how often it will be called
--           keep(list, test, wanted)   the offsets of the list for which the test returns `wanted`
--           bitop(operation, keys)     a new bitmap, or nil if all of the keys are gone
local bits = bits()

local function size(set)
  if not set then return 0 end
  if type(set) == 'table' then return #set end
  return call('BITCOUNT', set)
end

local function lookup(list)
  local set = {}
  for _, value in ipairs(list) do set[value] = true end
  return set
end

local function member_test(set, times)
  if not set then return function() return false end end
  if type(set) == 'table' then
    local offsets = lookup(set)
    return function(offset) return offsets[offset] end
  end
  if times < BITS_PER_BITMAP_READ then return function(offset) return call('GETBIT', set, decimal[offset]) == 1 end end
  local bytes = call('GET', set)
  effort = effort + BITMAP_READ
  return function(offset)
    local rest = offset % 8
    local value = byte(bytes, (offset - rest) / 8 + 1)
    return value and floor(value / 2 ^ (7 - rest)) % 2 == 1
  end
end

local function keep(list, test, wanted)
  local kept = {}
  effort = effort + #list * BIT_TESTED
  for _, offset in ipairs(list) do
    if (test(offset) or false) == wanted then kept[#kept + 1] = offset end
  end
  if #kept > 0 then return kept end
end

-- BITOP reads eight bytes at a time, but single bytes if it has more than 16 keys.
local function bitop(operation, sources)
  local key = temporary()
  effort = effort + BITOP_SOURCE * #sources
  local length = call('BITOP', operation, key, unpack(sources, 1, math.min(#sources, 16)))
  for first = 17, #sources, 15 do
    length = call('BITOP', operation, key, key, unpack(sources, first, math.min(first + 14, #sources)))
  end
  if length > 0 then return key end
end
