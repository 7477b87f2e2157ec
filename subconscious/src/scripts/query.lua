-- query.lua: counts the rows that match a filter, or reads a page of them in order. Includes rows.lua.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   what comes before every key of the model
-- ARGV[2]   fingerprint of the schema
-- ARGV[3]   count or page
-- ARGV[4]   greatest number of rows
-- ARGV[5]   number of matching rows to leave out first
-- ARGV[6]   width of an entry of the row directory, 0 where it is made of hashes
-- ARGV[7]   column to order by, or "" for row order
-- ARGV[8]   asc or desc
-- ARGV[9]   the column's spec (see index.lua), followed by ? if it can be null
-- ARGV[10]  where the last page ended: "" for the first page; r: after row [11]; k: after score [11], member [12];
--           n: among the nulls after row [11]
-- ARGV[11], ARGV[12]
-- ARGV[13]  f, the number of fields to read of each row; 0 for none
-- then      f names of fields, then the filter in prefix form:
--           * all | - none | = name value | 0 name (is null) | & n .. | | n .. | ! .. |
--           v name lowest highest (ordinals) | z name score member score member (at least, below; score "" for no bound)
--
-- Returns   count: { count, next row or -1 }
--           page: { position code, [11], [12], then for every row: row, id, the f fields (none if the record is gone) }
--           or nil, schema, stored fingerprint
--
-- Nothing of a query reaches replicas or the append-only file, and nothing is left behind: intermediate bitmaps are
-- deleted before the script returns, also when it fails.
redis.set_repl(redis.REPL_NONE)

local p = ARGV[1]
local order, descending, how = ARGV[7], ARGV[8] == 'desc', sub(ARGV[9], 1, 1)
local kind = sub(ARGV[9], 2, 2)
local nullable = sub(ARGV[9], -1) == '?'
local width = tonumber(ARGV[6])
local segments, total

-- Segments that one call looks through at most; the caller goes on from where it stopped.
local BOUND = 256
-- Rows that are gathered and sorted at most, rather than found by walking the order.
local GATHER = 1000

-- Temporary bitmaps in use, and the most there were.
local in_use, temporaries = 0, 0
local function temporary()
  -- The first write of a script must not be one that a full server refuses, or reading would need free memory.
  if temporaries == 0 then call('DEL', p .. 't:1') end
  in_use = in_use + 1
  temporaries = math.max(temporaries, in_use)
  return p .. 't:' .. in_use
end

-- Byte order. The operator would use the server's locale.
local function less(a, b)
  local shorter = math.min(#a, #b)
  for i = 1, shorter do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local function row_of(member) return (struct.unpack('>I4', member, #member - 3)) end

-- The number of members of a sorted set before (score, member).
local function rank(key, score, member)
  local low = call('ZCOUNT', key, '-inf', '(' .. score)
  if member == '' then return low end
  local high = low + call('ZCOUNT', key, score, score)
  while low < high do
    local middle = floor((low + high) / 2)
    if less(call('ZRANGE', key, middle, middle)[1], member) then low = middle + 1 else high = middle end
  end
  return low
end

-- A set of rows of one segment is nil if empty, the key of a bitmap (a string), or a list of offsets (a table).
local function size(set)
  if not set then return 0 end
  if type(set) == 'table' then return #set end
  return call('BITCOUNT', set)
end

local function lookup(list)
  local set = {}
  for _, offset in ipairs(list) do set[offset] = true end
  return set
end

-- A function that says whether an offset is in the set.
local function member_test(set)
  if not set then return function() return false end end
  if type(set) == 'table' then
    local offsets = lookup(set)
    return function(offset) return offsets[offset] end
  end
  local asked, bytes = 0, nil
  return function(offset)
    -- Reading the bitmap costs as much as asking for some twenty bits.
    if not bytes then
      if asked < 20 then
        asked = asked + 1
        return call('GETBIT', set, offset) == 1
      end
      bytes = call('GET', set)
    end
    local value = byte(bytes, floor(offset / 8) + 1)
    return value and floor(value / 2 ^ (7 - offset % 8)) % 2 == 1
  end
end

local function keep(list, test, wanted)
  local kept = {}
  for _, offset in ipairs(list) do
    if (test(offset) or false) == wanted then kept[#kept + 1] = offset end
  end
  if #kept > 0 then return kept end
end

local function bitop(operation, sources)
  local key = temporary()
  if call('BITOP', operation, key, unpack(sources)) > 0 then return key end
end

-- Parses the filter. A node is { operator, .. }.
local at
local function parse()
  local operator = ARGV[at]
  at = at + 1
  if operator == '&' or operator == '|' then
    local node = { operator }
    local parts = tonumber(ARGV[at])
    at = at + 1
    for i = 1, parts do node[i + 1] = parse() end
    return node
  elseif operator == '!' then
    return { operator, parse() }
  elseif operator == '=' then
    at = at + 2
    return { '=', ARGV[at - 2], ARGV[at - 1] }
  elseif operator == '0' then
    at = at + 1
    return { '=', ARGV[at - 1], false }
  elseif operator == 'v' then
    at = at + 3
    local name = ARGV[at - 3]
    local node = { '|' }
    for _, value in ipairs(call('ZRANGE', p .. 'v:' .. name, ARGV[at - 2] * 65536, ARGV[at - 1] * 65536 + 65535, 'BYSCORE')) do
      node[#node + 1] = { '=', name, value }
    end
    return node
  elseif operator == 'z' then
    at = at + 5
    local key = p .. 's:' .. ARGV[at - 5]
    local low, high = 0, nil
    if ARGV[at - 4] ~= '' then low = rank(key, ARGV[at - 4], ARGV[at - 3]) end
    if ARGV[at - 2] ~= '' then high = rank(key, ARGV[at - 2], ARGV[at - 1]) else high = call('ZCARD', key) end
    return { 'z', key, low, high, ARGV[at - 5] }
  end
  return { operator }
end

-- The rows of a range of a sorted set, by segment.
local function materialise(node)
  local sets = {}
  for first = node[3], node[4] - 1, 1000 do
    for _, member in ipairs(call('ZRANGE', node[2], first, math.min(first + 999, node[4] - 1))) do
      local row = row_of(member)
      local segment = floor(row / SEGMENT)
      local offset, set = row - segment * SEGMENT, sets[segment]
      if not set then
        set = {}
        sets[segment] = set
      end
      if type(set) == 'string' then
        call('SETBIT', set, offset, 1)
      else
        set[#set + 1] = offset
        if #set > PROMOTE then
          local key = temporary()
          for _, each in ipairs(set) do call('SETBIT', key, each, 1) end
          sets[segment] = key
        end
      end
    end
  end
  return sets
end

-- The rows of a segment that match the node, as a set.
local evaluate

local function intersection(node, segment)
  local lists, keys, without = {}, {}, {}
  for i = 2, #node do
    local part = node[i]
    if part[1] == '!' then
      without[#without + 1] = part[2]
    else
      local set = evaluate(part, segment)
      if not set then return nil end
      if type(set) == 'table' then lists[#lists + 1] = set else keys[#keys + 1] = set end
    end
  end
  if #lists > 0 then
    table.sort(lists, function(x, y) return #x < #y end)
    local list = lists[1]
    for i = 2, #lists do list = list and keep(list, member_test(lists[i]), true) end
    for _, key in ipairs(keys) do list = list and keep(list, member_test(key), true) end
    for _, part in ipairs(without) do list = list and keep(list, member_test(evaluate(part, segment)), false) end
    return list
  end
  if #keys == 0 then keys[1] = p .. 'live:' .. segment end
  local result = #keys == 1 and keys[1] or bitop('AND', keys)
  for _, part in ipairs(without) do
    local set = result and evaluate(part, segment)
    if type(set) == 'table' then
      result = bitop('OR', { result })
      for _, offset in ipairs(set) do call('SETBIT', result, offset, 0) end
    elseif set then
      -- a XOR (a AND b) is a without b, whatever the lengths; NOT would end at the shorter one.
      local both = bitop('AND', { result, set })
      result = both and bitop('XOR', { result, both }) or result
    end
  end
  return result
end

local function union(node, segment)
  local lists, keys, listed = {}, {}, 0
  for i = 2, #node do
    local set = evaluate(node[i], segment)
    if type(set) == 'table' then
      lists[#lists + 1] = set
      listed = listed + #set
    elseif set then
      keys[#keys + 1] = set
    end
  end
  if #keys == 0 and #lists <= 1 then return lists[1] end
  if #keys == 0 and listed <= 4 * PROMOTE then
    local seen, all = {}, {}
    for _, list in ipairs(lists) do
      for _, offset in ipairs(list) do
        if not seen[offset] then
          seen[offset] = true
          all[#all + 1] = offset
        end
      end
    end
    return all
  end
  if #lists == 0 and #keys == 1 then return keys[1] end
  local result = #keys > 0 and bitop('OR', keys) or temporary()
  -- The name may have served another segment before.
  if #keys == 0 then call('DEL', result) end
  for _, list in ipairs(lists) do
    for _, offset in ipairs(list) do call('SETBIT', result, offset, 1) end
  end
  return result
end

-- Materialises the ranges of a filter whose segments are then looked at one by one, so that what comes after
-- can be overwritten from segment to segment.
local function prepare(node)
  if node[1] == 'z' then node.sets = materialise(node) end
  for i = 2, #node do
    if type(node[i]) == 'table' then prepare(node[i]) end
  end
end

function evaluate(node, segment)
  local operator = node[1]
  if operator == '=' then
    local rest = node[2] .. ':' .. segment
    if node[3] then rest = rest .. ':' .. node[3] end
    if call('EXISTS', p .. 'b:' .. rest) == 1 then return p .. 'b:' .. rest end
    local list = call('SMEMBERS', p .. 'i:' .. rest)
    if #list == 0 then return nil end
    for i = 1, #list do list[i] = tonumber(list[i]) end
    return list
  elseif operator == '&' then
    return intersection(node, segment)
  elseif operator == '|' then
    return union(node, segment)
  elseif operator == '!' then
    return intersection({ '&', node }, segment)
  elseif operator == 'z' then
    node.sets = node.sets or materialise(node)
    return node.sets[segment]
  elseif operator == '*' then
    local key = p .. 'live:' .. segment
    if call('EXISTS', key) == 1 then return key end
  end
  return nil
end

-- Offsets of a set in ascending or descending order, at most `wanted`, after `skip` of them; only those beyond `from`.
local function offsets(set, from, skip, wanted, backwards)
  local found = {}
  if type(set) == 'table' then
    table.sort(set, function(x, y) if backwards then return x > y end return x < y end)
    for _, offset in ipairs(set) do
      local beyond = not from or (backwards and offset < from) or (not backwards and offset > from)
      if beyond and skip > 0 then
        skip = skip - 1
      elseif beyond then
        found[#found + 1] = offset
        if #found == wanted then break end
      end
    end
    return found
  end
  local length = call('STRLEN', set)
  local first, last = 0, length - 1
  if from and backwards then last = math.min(last, floor(from / 8)) end
  if from and not backwards then first = floor(from / 8) end
  -- Halves the bytes to look at until the first one wanted is at the edge.
  local function before(offset) return backwards and offset >= from or not backwards and offset <= from end
  if from and first <= last then
    local edge = backwards and last or first
    for _, offset in ipairs(bits(call('GETRANGE', set, edge, edge))) do
      if before(edge * 8 + offset) then skip = skip + 1 end
    end
  end
  if skip > 0 then
    local low, high = first, last + 1
    while low < high do
      local middle = floor((low + high) / 2)
      local passed
      if backwards then
        passed = call('BITCOUNT', set, last - (middle - first), last)
      else
        passed = call('BITCOUNT', set, first, middle)
      end
      if passed <= skip then low = middle + 1 else high = middle end
    end
    -- `low` bytes from the edge hold no wanted row.
    local step = low - first
    if step > 0 then
      if backwards then
        skip = skip - call('BITCOUNT', set, last - step + 1, last)
        last = last - step
      else
        skip = skip - call('BITCOUNT', set, first, first + step - 1)
        first = first + step
      end
    end
  end
  while first <= last and #found < wanted do
    local from_byte, to_byte
    if backwards then
      from_byte, to_byte = math.max(first, last - 63), last
      last = from_byte - 1
    else
      local hit = call('BITPOS', set, 1, first)
      if hit < 0 then break end
      from_byte = floor(hit / 8)
      to_byte = math.min(last, from_byte + 63)
      first = to_byte + 1
    end
    local list = bits(call('GETRANGE', set, from_byte, to_byte))
    local start, stop, step = 1, #list, 1
    if backwards then start, stop, step = #list, 1, -1 end
    for i = start, stop, step do
      if skip > 0 then
        skip = skip - 1
      else
        found[#found + 1] = from_byte * 8 + list[i]
        if #found == wanted then break end
      end
    end
  end
  return found
end

local function id_of(row)
  if width == 0 then return call('HGET', p .. 'd:' .. floor(row / CHUNK), row % CHUNK) end
  local segment = floor(row / SEGMENT)
  local first = (row - segment * SEGMENT) * width
  return call('GETRANGE', p .. 'd:' .. segment, first, first + width - 1)
end

local UUID = string.rep('%02x', 4) .. string.rep('-%02x%02x', 4) .. string.rep('%02x', 4)
local function record_of(id)
  if width == 16 and #id == 16 then id = string.format(UUID, byte(id, 1, 16)) end
  return p .. 'r:' .. id
end

local skip, wanted = tonumber(ARGV[5]), tonumber(ARGV[4])
local page, found = { '', '', '' }, 0
local fields = tonumber(ARGV[13])

local function deliver(row)
  local id = id_of(row)
  found = found + 1
  page[#page + 1] = row
  page[#page + 1] = id
  if fields > 0 then
    local record = id and call('HMGET', record_of(id), '#', unpack(ARGV, 14, 13 + fields))
    if record and record[1] == tostring(row) then page[#page + 1] = record else page[#page + 1] = {} end
  end
end

-- Delivers rows of the segments' sets in row order and says whether the page is full.
local function deliver_rows(set_of, from, backwards, code)
  local first, last, step = 0, segments - 1, 1
  if backwards then first, last, step = segments - 1, 0, -1 end
  if from then first = floor(from / SEGMENT) end
  for segment = first, last, step do
    local set = set_of(segment)
    local within = from and floor(from / SEGMENT) == segment and from - segment * SEGMENT or nil
    local n = (skip > 0 and not within) and size(set) or nil
    if set and n and n <= skip then
      skip = skip - n
    elseif set then
      local list = offsets(set, within, skip, wanted - found, backwards)
      if #list > 0 then skip = 0 elseif n == nil and skip > 0 then
        skip = skip - #offsets(set, within, 0, skip, backwards)
      end
      for _, offset in ipairs(list) do deliver(segment * SEGMENT + offset) end
      if found == wanted then
        page[1], page[2] = code, segment * SEGMENT + list[#list]
        return true
      end
    end
    if code == 'r' and math.abs(segment - first) >= BOUND and segment ~= last then
      page[1], page[2], page[3] = 'r', segment * SEGMENT + SEGMENT - 1, skip
      return true
    end
  end
  return false
end

local filter
-- The filter's set of each segment, evaluated when first asked for.
local cache = {}
local function filtered(segment)
  local set = cache[segment]
  if set == nil then
    set = evaluate(filter, segment) or false
    cache[segment] = set
  end
  return set
end

-- Where a row stands in the order: score, member. nil for null.
local ordinals
local function standing(row)
  local id = id_of(row)
  local value = id and call('HGET', record_of(id), order)
  if not value then return nil end
  if how == 'k' then
    local score = ordinals[value]
    if not score then return nil end
    return score, struct.pack('>I4', row)
  end
  local score, tail = place(kind, value)
  return score, tail .. struct.pack('>I4', row)
end

local function earlier(x, y)
  if x[1] ~= y[1] then return x[1] < y[1] end
  return less(x[2], y[2])
end

-- Reads the few matching rows with their places and sorts them.
local function gather(resume, score, member)
  local places, nulls = {}, {}
  for segment = 0, segments - 1 do
    for _, offset in ipairs(filtered(segment) and offsets(filtered(segment), nil, 0, GATHER, false) or {}) do
      local row = segment * SEGMENT + offset
      local text, mark = standing(row)
      if text then places[#places + 1] = { tonumber(text), mark, row, text } else nulls[#nulls + 1] = row end
    end
  end
  table.sort(places, function(x, y) if descending then return earlier(y, x) end return earlier(x, y) end)
  if descending then table.sort(nulls, function(x, y) return x > y end) end
  local edge = resume == 'k' and { tonumber(score), member }
  for _, each in ipairs(places) do
    local passed = resume == 'n' or edge and not (descending and earlier(each, edge) or not descending and earlier(edge, each))
    if not passed then
      if skip > 0 then
        skip = skip - 1
      else
        deliver(each[3])
        page[1], page[2], page[3] = 'k', each[4], each[2]
        if found == wanted then return end
      end
    end
  end
  for _, row in ipairs(nulls) do
    local passed = resume == 'n' and (descending and row >= tonumber(score) or not descending and row <= tonumber(score))
    if not passed then
      if skip > 0 then
        skip = skip - 1
      else
        deliver(row)
        page[1], page[2], page[3] = 'n', row, ''
        if found == wanted then return end
      end
    end
  end
  page[1] = ''
end

-- Delivers from the sorted set, in its order, what the filter lets through. Says whether the page is full.
local function walk_sorted(range, resume, score, member)
  local key = p .. 's:' .. order
  local low, high = 0, nil
  if range then low, high = range[3], range[4] else high = call('ZCARD', key) end
  if resume == 'k' then
    if descending then
      high = math.min(high, rank(key, score, member))
    else
      low = math.max(low, rank(key, score, member .. '\0'))
    end
  end
  if filter[1] == '*' then
    local passed = math.min(skip, math.max(high - low, 0))
    skip = skip - passed
    if descending then high = high - passed else low = low + passed end
  end
  local tests, chunk = {}, math.min(math.max(wanted + skip, 16), 200)
  while low < high do
    local list
    if descending then
      local first = math.max(low, high - chunk)
      list = call('ZRANGE', key, first, high - 1, 'WITHSCORES')
      high = first
    else
      list = call('ZRANGE', key, low, math.min(low + chunk, high) - 1, 'WITHSCORES')
      low = low + chunk
    end
    local start, stop, step = 1, #list - 1, 2
    if descending then start, stop, step = #list - 1, 1, -2 end
    for i = start, stop, step do
      local row, passes = row_of(list[i]), true
      if filter[1] ~= '*' then
        local segment = floor(row / SEGMENT)
        tests[segment] = tests[segment] or member_test(filtered(segment))
        passes = tests[segment](row - segment * SEGMENT)
      end
      if passes and skip > 0 then
        skip = skip - 1
      elseif passes then
        deliver(row)
        if found == wanted then
          page[1], page[2], page[3] = 'k', list[i + 1], list[i]
          return true
        end
      end
    end
    chunk = 200
  end
  return false
end

-- The same for a column of few values: one value's container after the other.
local function walk_values(resume, score, member)
  local list = call('ZRANGE', p .. 'v:' .. order, 0, -1, 'WITHSCORES')
  local start, stop, step = 1, #list - 1, 2
  if descending then start, stop, step = #list - 1, 1, -2 end
  local edge = resume == 'k' and tonumber(score)
  for i = start, stop, step do
    local ordinal = floor(list[i + 1] / 65536)
    local passed = edge and (descending and ordinal > edge or not descending and ordinal < edge)
    if not passed then
      local node = { '=', order, list[i] }
      if filter[1] ~= '*' then node = { '&', node, { 'set' } } end
      local from = edge == ordinal and row_of(member) or nil
      local full = deliver_rows(function(segment)
        if filter[1] == '*' then return evaluate(node, segment) end
        local own = evaluate(node[2], segment)
        local other = own and filtered(segment)
        if not other then return nil end
        if type(own) == 'table' then return keep(own, member_test(other), true) end
        if type(other) == 'table' then return keep(other, member_test(own), true) end
        return bitop('AND', { own, other })
      end, from, descending, 'k')
      if full then
        page[3] = struct.pack('>I4', page[2])
        page[2] = ordinal
        return true
      end
    end
  end
  return false
end

local function ordered()
  local resume, score, member = ARGV[10], ARGV[11], ARGV[12]
  -- A range of the column that is ordered by bounds the walk, and needs no test of its own.
  local range
  if how ~= 'k' then
    local parts = filter[1] == '&' and filter or { '&', filter }
    local rest = { '&' }
    for i = 2, #parts do
      if not range and parts[i][1] == 'z' and parts[i][5] == order then range = parts[i] else rest[#rest + 1] = parts[i] end
    end
    if range then filter = #rest == 1 and { '*' } or #rest == 2 and rest[2] or rest end
  end
  if filter[1] ~= '*' and resume ~= 'n' then
    local matches = 0
    for segment = 0, segments - 1 do matches = matches + size(filtered(segment)) end
    if matches == 0 then return end
    local walk, values
    if how == 'k' then
      values = call('ZCARD', p .. 'v:' .. order)
      walk = 2 * segments * math.min(values, math.ceil((skip + wanted) * values / matches))
    else
      walk = 0.5 * math.min(total, (skip + wanted) * total / matches)
    end
    if matches <= GATHER and not range and 2 * matches + 10 < walk then
      if how == 'k' then
        ordinals = {}
        local list = call('ZRANGE', p .. 'v:' .. order, 0, -1, 'WITHSCORES')
        for i = 1, #list, 2 do ordinals[list[i]] = tostring(floor(list[i + 1] / 65536)) end
      end
      return gather(resume, score, member)
    end
  end
  if resume ~= 'n' then
    if how == 'k' then
      if walk_values(resume, score, member) then return end
    elseif walk_sorted(range, resume, score, member) then
      return
    end
  end
  if nullable and not range then
    local null = { '=', order, false }
    local node = filter[1] == '*' and null or { '&', null, filter }
    local from = resume == 'n' and tonumber(score) or nil
    deliver_rows(function(segment) return evaluate(node, segment) end, from, descending, 'n')
  end
end

local function run()
  local meta = call('HMGET', p .. 'meta', 'schema', 'rows', 'count')
  total = tonumber(meta[3] or 0)
  if total == 0 then return ARGV[3] == 'count' and { 0, -1 } or page end
  if meta[1] ~= ARGV[2] then return refuse('schema', meta[1] or '') end
  segments = math.ceil(meta[2] / SEGMENT)
  at = 14 + fields
  filter = parse()
  if ARGV[3] == 'count' then
    local first = ARGV[10] == 'r' and floor((tonumber(ARGV[11]) + 1) / SEGMENT) or 0
    if filter[1] == '*' then return { total, -1 } end
    if filter[1] == 'z' then return { math.max(filter[4] - filter[3], 0), -1 } end
    local n = 0
    prepare(filter)
    local kept = in_use
    for segment = first, math.min(first + BOUND, segments) - 1 do
      n = n + size(evaluate(filter, segment))
      in_use = kept
    end
    local next = first + BOUND
    return { n, next < segments and next * SEGMENT - 1 or -1 }
  end
  if wanted == 0 then return page end
  if order ~= '' then
    ordered()
  else
    local from = ARGV[10] == 'r' and tonumber(ARGV[11]) or nil
    prepare(filter)
    local kept = in_use
    deliver_rows(function(segment)
      in_use = kept
      return evaluate(filter, segment)
    end, from, false, 'r')
  end
  return page
end

local done, reply = pcall(run)
for i = 1, temporaries, 4000 do
  local names = {}
  for k = i, math.min(i + 3999, temporaries) do names[#names + 1] = p .. 't:' .. k end
  call('DEL', unpack(names))
end
if not done then error(reply, 0) end
return reply
