-- index.lua: how a write keeps the indexes of a record. It comes after rows.lua and before the text of each script that
-- says so. KEYS, ARGV and Returns are those of that script.

-- The container of the rows whose column has the value, or is null where `value` is false:
-- { bitmap key, set key, bytes of the bitmap, members of the set }. Reading it also fails on a key of another type,
-- before anything is written.
local function container(p, name, segment, value)
  local rest = name .. ':' .. segment
  if value then rest = rest .. ':' .. value end
  local dense, sparse = p .. 'b:' .. rest, p .. 'i:' .. rest
  local length = call('STRLEN', dense)
  return { dense, sparse, length, length == 0 and call('SCARD', sparse) or 0 }
end

-- Adds a row to a container and says whether the container is new. A set that outgrows PROMOTE becomes a bitmap,
-- allocated at its full size at once but in the first segment, where tables may be tiny.
local function include(c, segment, offset)
  if c[3] > 0 then
    call('SETBIT', c[1], offset, 1)
    return false
  elseif c[4] < PROMOTE then
    call('SADD', c[2], offset)
    return c[4] == 0
  end
  if segment > 0 then call('SETBIT', c[1], SEGMENT - 1, 0) end
  for _, member in ipairs(call('SMEMBERS', c[2])) do call('SETBIT', c[1], member, 1) end
  call('SETBIT', c[1], offset, 1)
  call('DEL', c[2])
  return false
end

-- Removes a row from a container and says whether that was the last one. A bitmap that shrinks to DEMOTE rows becomes a set.
local function exclude(c, offset)
  if c[3] == 0 then
    return call('SREM', c[2], offset) == 1 and c[4] == 1
  end
  call('SETBIT', c[1], offset, 0)
  local count = call('BITCOUNT', c[1])
  if count <= DEMOTE then
    local rows = bits(call('GET', c[1]))
    call('DEL', c[1])
    if count > 0 then call('SADD', c[2], unpack(rows)) end
  end
  return count == 0
end

-- The plan of the changes that a write makes to the indexes. The planning functions read and fail; `apply` writes.
--   names, specs: what each indexed column is called and how it is indexed: the letters c (containers), s (sorted set)
--     and k (containers of a column whose few values are kept in order), then its kind and its new value's ordinal
local function plan_column(plan, p, row, spec, name, old, new)
  local segment = floor(row / SEGMENT)
  local how, kind = sub(spec, 1, 1), sub(spec, 2, 2)
  if kind == 'f' then
    -- The zeros are one value in an index; stored, they keep their signs.
    if old == '-0.0' then old = '0.0' end
    if new == '-0.0' then new = '0.0' end
    if old == new then return end
  end
  if how ~= 's' or not old or not new then
    local gone = old ~= nil and (how ~= 's' or not old) and container(p, name, segment, old)
    local come = new ~= nil and (how ~= 's' or not new) and container(p, name, segment, new)
    if how == 'k' then call('ZCARD', p .. 'v:' .. name) end
    plan[#plan + 1] = { 'c', gone, come, how == 'k' and p .. 'v:' .. name, old, new, sub(spec, 3) }
  end
  if how == 's' or how == 'b' then
    local key, mark = p .. 's:' .. name, struct.pack('>I4', row)
    call('ZCARD', key)
    local gone, score, come
    if old then
      local _, tail = place(kind, old)
      gone = tail .. mark
    end
    if new then
      local tail
      score, tail = place(kind, new)
      come = tail .. mark
    end
    plan[#plan + 1] = { 's', key, gone ~= come and gone, score, come }
  end
end

local function apply(plan, row)
  local segment = floor(row / SEGMENT)
  local offset = row - segment * SEGMENT
  for _, step in ipairs(plan) do
    if step[1] == 's' then
      if step[3] then call('ZREM', step[2], step[3]) end
      if step[5] then call('ZADD', step[2], step[4], step[5]) end
    else
      local values = step[4]
      if step[2] and exclude(step[2], offset) and values and step[5] then
        -- The score is ordinal * 65536 + segments that hold the value; the value goes with its last segment.
        if tonumber(call('ZINCRBY', values, -1, step[5])) % 65536 == 0 then call('ZREM', values, step[5]) end
      end
      if step[3] and include(step[3], segment, offset) and values and step[6] then
        call('ZADD', values, 'NX', step[7] * 65536, step[6])
        call('ZINCRBY', values, 1, step[6])
      end
    end
  end
end
