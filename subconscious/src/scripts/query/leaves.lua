-- leaves.lua: reads what a client needs of one segment to evaluate a filter itself.
--
-- KEYS[1]   the key t:0 of the model, which never exists. The server demands a right to write for
--           the key that a script is given (see docs/src/rights.md)
-- ARGV[1]   prefix of all keys of the model
-- ARGV[2]   registration of the program: see ready.lua
-- ARGV[3], ARGV[4]: as in query.lua
-- ARGV[5]   the segment; "" for the first segment in this order
-- ARGV[6]   asc or desc, the order of the segments
-- then      leaves of a filter, one after the other (see nodes.lua)
--
-- Returns   { segment, number of segments, number of records, the time in milliseconds if records
--           have expired that are not removed yet, else 0, the rows in use as a bitmap, then a
--           value for each leaf, as many as the budget allows, at least one }. The values:
--             equals, null  a container: a bitmap, or a list of its offsets packed by cmsgpack
--             unique        its rows
--             ordinals      the containers of its values
--             range         the container of null, then 1 and the rows in the range, or 0 and the
--                           rows that are neither in the range nor null, or nothing if there are
--                           too many of both
--           or nil, then a reason and its details (see ready.lua)

-- include query/begin.lua
-- include query/filter.lua

local function run()
  local refusal = not_ready(true)
  if refusal then return refusal end
  local segment = tonumber(ARGV[5])
  if not segment then segment = ARGV[6] == 'desc' and math.max(segments - 1, 0) or 0 end
  local reply = { segment, segments, total, 0, '' }
  if segment >= segments then return reply end
  local now = now_if_due()
  if now then reply[4] = text('%d', now) end
  reply[5] = call('GET', live(segment)) or ''

  local function read(node)
    if node == NONE then return { cmsgpack.pack({}) } end
    local found = evaluate(node, segment)
    if type(found) ~= 'string' then return { cmsgpack.pack(found or {}) } end
    effort = effort + BITMAP_READ * call('STRLEN', found) * 8 / SEGMENT
    return call('GET', found)
  end
  local function add_rows(found, key, from, to)
    for _, member in ipairs(from < to and call('ZRANGE', key, from, to - 1) or {}) do found[#found + 1] = row_of(member) end
    effort = effort + (to - from) * LISTED_ROW
  end

  local at = 7
  while at <= #ARGV do
    local operator, name, found, node = ARGV[at], ARGV[at + 1], nil, nil
    node, at = parse_filter(at)
    if operator == 'equals' or operator == 'null' then
      found = read(node)
    elseif operator == 'unique' then
      found = node ~= NONE and node.rows or {}
    elseif operator == 'ordinals' then
      found = {}
      for _, part in ipairs(node == NONE and {} or parts_of('or', node)) do found[#found + 1] = read(part) end
    elseif operator == 'range' then
      found = { read(leaf(name)) }
      if node == NONE then
        found[2] = 1
      elseif node.size <= LISTED then
        found[2] = 1
        add_rows(found, node.key, node.from, node.to)
      elseif node.from + node.all - node.to <= LISTED then
        found[2] = 0
        add_rows(found, node.key, 0, node.from)
        add_rows(found, node.key, node.to, node.all)
      end
    end
    reply[#reply + 1] = found
    if spent(0) then break end
  end
  return reply
end

return leave_nothing(run)
