-- offsets.lua: the rows of a set one after the other. A library for queries. Other scripts include
-- this file after sets.lua. KEYS, ARGV and Returns are those of the including script.
--
-- Exports   offsets(set, from, skip, wanted, backwards)   the offsets of a set in ascending or
--           descending order: only those beyond `from`, without the first `skip`, at most `wanted`
local function offsets(set, from, skip, wanted, backwards)
  local found = {}
  if type(set) == 'table' then
    -- Sorting with a function that compares would take four times as long.
    table.sort(set)
    local start, stop, step = 1, #set, 1
    if backwards then start, stop, step = #set, 1, -1 end
    for i = start, stop, step do
      local offset = set[i]
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
  -- A binary search finds the first byte that has a wanted row.
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
    -- No wanted row is in so many bytes at the edge.
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
  -- First as many bytes as a full bitmap needs for these rows, then more at a time.
  local bytes = math.min(math.ceil((skip + wanted) / 8), 64)
  while first <= last and #found < wanted do
    local from_byte, to_byte
    if backwards then
      from_byte, to_byte = math.max(first, last - bytes + 1), last
      last = from_byte - 1
    else
      local hit = call('BITPOS', set, 1, first)
      if hit < 0 then break end
      from_byte = floor(hit / 8)
      to_byte = math.min(last, from_byte + bytes - 1)
      first = to_byte + 1
    end
    bytes = math.min(4 * bytes, 64)
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
