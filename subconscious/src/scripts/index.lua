-- index.lua: how a write keeps the indexes of a record. It comes after rows.lua and before the text of each script that
-- says so. KEYS, ARGV and Returns are those of that script.
--
-- A write first plans all its changes, which reads and so fails on a key of another type, and then applies them. How a
-- column is indexed is its spec: c (containers), s (sorted set), b (both) or k (containers of a column whose few values are
-- kept in order), then the kind of its value and the ordinal of its new value.
--
-- Numbers that are arguments of several calls are turned into text once: each conversion costs as much as a small command.
-- Rarely needed functions are made where they are needed: making one costs as much as a small command, too.
local p = ARGV[1]
local plan, planned = {}, 0
local SORTED_SET, BOTH, FEW, FLOAT = byte('sbkf', 1, 4)

-- Plans to add the row to the container of a value (false: of null), or to remove it.
-- A step is { adds, key, bytes of the bitmap or 0, members of the set, rest of the key, key of the values, value, ordinal }.
local function plan_container(adds, name, segment, value, values, ordinal)
  local rest = value and name .. ':' .. segment .. ':' .. value or name .. ':' .. segment
  local key, members = p .. 'b:' .. rest, 0
  local bytes = call('STRLEN', key)
  if bytes == 0 then
    key = p .. 'i:' .. rest
    members = call('SCARD', key)
    -- The value may come, or go with its last row.
    if values and members < 2 then call('ZCARD', values) end
  end
  planned = planned + 1
  plan[planned] = { adds, key, bytes, members, rest, value and values, value, ordinal }
end

-- Plans what changes for a column from its stored value to its new one. false is null, nil is a record that is not there.
local function plan_column(name, spec, row, segment, old, new)
  local how, kind = byte(spec, 1, 2)
  if kind == FLOAT then
    -- The zeros are one value in an index; stored, they keep their signs.
    if old == '-0.0' then old = '0.0' end
    if new == '-0.0' then new = '0.0' end
    if old == new then return end
  end
  local values = how == FEW and p .. 'v:' .. name
  -- A column that has only a sorted set has a container for null, which is not in it.
  if old ~= nil and (how ~= SORTED_SET or not old) then plan_container(false, name, segment, old, values) end
  if new ~= nil and (how ~= SORTED_SET or not new) then plan_container(true, name, segment, new, values, values and sub(spec, 3)) end
  if how == SORTED_SET or how == BOTH then
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
    planned = planned + 1
    plan[planned] = { nil, key, gone ~= come and gone, score, come }
  end
end

local function apply(segment, offset)
  for i = 1, planned do
    local step = plan[i]
    local adds, key, values = step[1], step[2], step[6]
    if adds == nil then
      if step[3] then call('ZREM', key, step[3]) end
      if step[5] then call('ZADD', key, step[4], step[5]) end
    elseif adds then
      if step[3] > 0 then
        call('SETBIT', key, offset, '1')
      elseif step[4] >= PROMOTE then
        -- The set becomes a bitmap, allocated at its full size at once but in the first segment, where tables may be tiny.
        local bitmap = p .. 'b:' .. step[5]
        if segment ~= '0' then call('SETBIT', bitmap, SEGMENT - 1, '0') end
        for _, member in ipairs(call('SMEMBERS', key)) do call('SETBIT', bitmap, member, '1') end
        call('SETBIT', bitmap, offset, '1')
        call('DEL', key)
      else
        call('SADD', key, offset)
        if values and step[4] == 0 then
          -- The score is ordinal * 65536 + segments that hold the value; the value goes with its last segment.
          call('ZADD', values, 'NX', step[8] * 65536, step[7])
          call('ZINCRBY', values, '1', step[7])
        end
      end
    else
      local left
      if step[3] > 0 then
        call('SETBIT', key, offset, '0')
        left = call('BITCOUNT', key)
        if left <= DEMOTE then
          local rows = bits(call('GET', key))
          call('DEL', key)
          if left > 0 then call('SADD', p .. 'i:' .. step[5], unpack(rows)) end
        end
      else
        left = step[4] - call('SREM', key, offset)
      end
      if left == 0 and values and tonumber(call('ZINCRBY', values, '-1', step[7])) % 65536 == 0 then
        call('ZREM', values, step[7])
      end
    end
  end
end
