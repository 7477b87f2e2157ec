-- sorted_set.lua: sort keys, members and ranks in the sorted set of a column. A library for
-- queries. Other scripts include this file after scratch.lua. KEYS, ARGV and Returns are those of
-- the including script.
--
-- Exports   row_of(member)                the row of a member
--           less(a, b)                    whether a is before b in byte order
--           rank(key, score, member)      number of members before (score, member)
--           place_of(row, name, kind)     where a row is in the order of a column: its score as
--                                         text, and its member; nil for null
--           in_range(node, score, member)  whether (score, member) is within the bounds of a
--                                         range: see nodes.lua
--           earlier(score, member, edge)  whether (score, member) is before the edge { score,
--                                         member }
--           entry_of, id_in               see ids.lua

-- The operator < would use the server's locale.
local function less(a, b)
  local shorter = math.min(#a, #b)
  for i = 1, shorter do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local function row_of(member)
  local a, b, c, d = byte(member, -4, -1)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

local function rank(key, score, member)
  local low = call('ZCOUNT', key, '-inf', '(' .. score)
  if member == '' then return low end
  local high = low + call('ZCOUNT', key, score, score)
  -- If all members have the same score, as those of texts do, the server finds the rank itself.
  if low == 0 and high == call('ZCARD', key) then return call('ZLEXCOUNT', key, '-', '(' .. member) end
  while low < high do
    local middle = floor((low + high) / 2)
    if less(call('ZRANGE', key, middle, middle)[1], member) then low = middle + 1 else high = middle end
  end
  return low
end

-- include shared/ids.lua

-- The function is made when it is first needed.
local place
local function place_of(row, name, kind)
  local id = id_in(entry_of(row))
  local value = id and call('HGET', p .. KEY_RECORD .. id, name)
  if not value then return nil end
  place = place or places()
  local score, tail = place(kind, value)
  return score, tail .. struct.pack('>I4', row)
end

local function earlier(score, member, edge)
  if score ~= edge[1] then return score < edge[1] end
  return less(member, edge[2])
end

local function in_range(node, score, member)
  local low, high = node.low, node.high
  return not (low and earlier(score, member, low)) and (not high or earlier(score, member, high))
end
