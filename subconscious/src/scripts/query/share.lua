-- share.lua: how many rows match, estimated. A library for queries. Other scripts include this file
-- after split.lua. KEYS, ARGV and Returns are those of the including script.
--
-- Exports   share(residual)    share of the records that match a residual filter, by the sizes of
--                              its ranges, as if they were independent
--           estimate(filter)   number of rows that match a filter without wide ranges, estimated
--                              from two segments

local function share(node)
  local operator = node[1]
  if operator == 'range' then return node.size / math.max(total, 1) elseif operator == 'not' then return 1 - share(node[2]) end
  -- Nothing is known of the values that are in an OR with a range.
  if operator ~= 'and' and operator ~= 'or' then return 0.5 end
  local all, none = 1, 1
  for i = 2, #node do
    local part = share(node[i])
    all, none = all * part, none * (1 - part)
  end
  return operator == 'and' and all or 1 - none
end

local function estimate(filter)
  if filter == ALL then return total elseif filter[1] == 'rows' then return filter.size end
  local middle, sum, sampled = floor(segments / 2), 0, 0
  for segment = middle, 0, -math.max(1, math.ceil(middle / 2)) do
    sum, sampled = sum + size(evaluate(filter, segment)), sampled + math.min(SEGMENT, handed - segment * SEGMENT)
    release()
    if segment < middle then break end
  end
  return sum * handed / sampled
end
