-- query.lua: counts the rows that match a filter, or reads a page of them in order. Includes rows.lua and filter.lua.
--
-- KEYS[1]   the model's meta
-- ARGV[1]   what comes before every key of the model
-- ARGV[2]   fingerprint of the schema
-- ARGV[3]   count, ids (a page without records) or page
-- ARGV[4]   greatest number of rows
-- ARGV[5]   number of matching rows to leave out first
-- ARGV[6]   width of an entry of the row directory, 0 where it is made of hashes
-- ARGV[7]   column to order by, or "" for row order
-- ARGV[8]   asc or desc
-- ARGV[9]   the column's spec (see index.lua), followed by ? if it can be null
-- ARGV[10]  where the last page ended: "" for the first page; r: after row [11]; k: after score [11], member [12];
--           n: among the nulls after row [11]
-- ARGV[11], ARGV[12]
-- ARGV[13]  f, the number of fields to read of each row besides its number
-- then      f names of fields, then the filter (see filter.lua)
--
-- Returns   count: { count, next row or -1 }
--           page: { position code, [11], [12], then for every row: row, id, and but for ids { row, the f fields } or,
--           if the record is gone, {} }
--           or nil, what is wrong, ..: { schema, stored schema }, { due } (there are records that expired, see reap.lua),
--           { building, columns }
local place, bits = places(), bits()
local order, descending, how = ARGV[7], ARGV[8] == 'desc', sub(ARGV[9], 1, 1)
local kind = byte(ARGV[9], 2)
local nullable = sub(ARGV[9], -1) == '?'
local width = tonumber(ARGV[6])
local segments, total

-- Segments that one call looks through at most; the caller goes on from where it stopped.
local BOUND = 256
-- Rows that are gathered and sorted at most, rather than found by walking the order.
local GATHER = 1000

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
  if ARGV[3] == 'page' then
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
      local score_text, mark = standing(row)
      if score_text then places[#places + 1] = { tonumber(score_text), mark, row, score_text } else nulls[#nulls + 1] = row end
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
  -- The filter's sets are all there, as its matches were counted; what is made of them serves one segment only.
  local kept = in_use
  for i = start, stop, step do
    local ordinal = floor(list[i + 1] / 65536)
    local passed = edge and (descending and ordinal > edge or not descending and ordinal < edge)
    if not passed then
      local node = { '=', order, list[i] }
      if filter[1] ~= '*' then node = { '&', node, { 'set' } } end
      local from = edge == ordinal and row_of(member) or nil
      local full = deliver_rows(function(segment)
        in_use = kept
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
    prepare(node)
    local kept = in_use
    deliver_rows(function(segment)
      in_use = kept
      return evaluate(node, segment)
    end, from, descending, 'n')
  end
end

local function run()
  local meta = call('HMGET', p .. 'meta', 'schema', 'rows', 'count', 'due')
  total = tonumber(meta[3] or 0)
  if total == 0 then return ARGV[3] == 'count' and { 0, -1 } or page end
  if meta[4] then
    local clock = call('TIME')
    if tonumber(meta[4]) < clock[1] * 1000 + floor(clock[2] / 1000) then return refuse('due') end
  end
  if meta[1] == ARGV[2] .. '+' then
    -- A migration to this schema is under way.
    building = call('HGET', p .. 'meta', 'building') or ''
    uses(order)
  elseif meta[1] ~= ARGV[2] then
    return refuse('schema', call('HGET', p .. 'meta', 'columns') or meta[1] or '')
  end
  segments = math.ceil(meta[2] / SEGMENT)
  at = 14 + fields
  filter = parse()
  if unbuilt then return refuse('building', unbuilt) end
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

return leave_nothing(run)
