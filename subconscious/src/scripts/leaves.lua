-- leaves.lua: reads what a client needs, besides containers, to evaluate a filter itself. Includes rows.lua, filter.lua and ready.lua.
--
-- KEYS[1]   the key t:0 of the model, which is never there: the server wants a right to write for what it is told (see docs/src/rights.md)
-- ARGV[1]   what comes before every key of the model
-- ARGV[2]   registration of the program, see ready.lua
-- ARGV[3], ARGV[4]: as in query.lua
-- ARGV[5]   the first word of the filter (see filter.lua), whose other words follow
--
-- Returns   { segments, records there are, the time in milliseconds if there are records that expired before, else 0, then in the order
--           of the filter for each
--           q: { row }, or {} if no record has the value
--           v: its values
--           z: { 1, the rows in the range, .. }, { 0, the rows that are neither in it nor null, .. }, or {} if both are many }
--           or nil, what is wrong, .. (see ready.lua)
at, timeless = 5, true

local function run()
  -- include ready.lua
  local reply = { segments, total, 0 }
  if meta[4] then
    local time = call('TIME')
    local now = time[1] * 1000 + floor(time[2] / 1000)
    if tonumber(meta[4]) <= now then reply[3] = text('%d', now) end
  end
  while at <= #ARGV do
    local operator, begin, found = ARGV[at], at, nil
    if operator == '*' or operator == '-' or operator == '!' then
      at = at + 1
    elseif operator == '&' or operator == '|' then
      at = at + 2
    else
      local node = parse()
      if operator == 'q' then
        found = { node ~= NONE and node[2] * SEGMENT + node[3] or nil }
      elseif operator == 'v' then
        found = call('ZRANGE', p .. 'v:' .. ARGV[begin + 1], ARGV[begin + 2] * 65536, ARGV[begin + 3] * 65536 + 65535, 'BYSCORE')
      elseif operator == 'z' and node == NONE then
        found = { 1 }
      elseif operator == 'z' then
        found = {}
        local function list(from, to)
          local members = from < to and call('ZRANGE', node.key, from, to - 1) or {}
          for _, member in ipairs(members) do found[#found + 1] = row_of(member) end
        end
        local within = node.to - node.from
        if within <= LISTED then
          found[1] = 1
          list(node.from, node.to)
        elseif node.all - within <= LISTED then
          found[1] = 0
          list(0, node.from)
          list(node.to, node.all)
        end
      end
    end
    reply[#reply + 1] = found
  end
  if unbuilt then return refuse('building', unbuilt) end
  return reply
end

return leave_nothing(run)
