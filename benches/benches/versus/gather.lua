-- gather.lua: finds the records that are in all of some sets, and sorts them.
--
-- KEYS      the order, a set for each condition, then the sets of the ages
-- ARGV      the number of conditions, 1 to go down, rows to leave out, rows (0 for the ids of all,
--           -1 for all rows)
--
-- Returns   { { id, name, age, gender, country, creation }, .. }, or for ids a list of them for
--           each age
local conditions, down, skip, limit = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3]), tonumber(ARGV[4])
local parts = {}
if #KEYS == conditions + 1 then
  parts[1] = redis.call('SINTER', unpack(KEYS, 2))
end
for age = conditions + 2, #KEYS do
  parts[#parts + 1] = redis.call('SINTER', KEYS[age], unpack(KEYS, 2, conditions + 1))
end
local function row(id)
  return { id, unpack(redis.call('HMGET', 'user:' .. id, 'name', 'age', 'gender', 'country_code', 'created_at'), 1, 5) }
end
local answer = {}
if limit == 0 then return parts end
if limit < 0 then
  for _, ids in ipairs(parts) do
    for _, id in ipairs(ids) do answer[#answer + 1] = row(id) end
  end
  return answer
end
-- The best so far, in order.
local best, need = {}, skip + limit
for _, ids in ipairs(parts) do
  for first = 1, #ids, 5000 do
    local last = math.min(first + 4999, #ids)
    local scores = redis.call('ZMSCORE', KEYS[1], unpack(ids, first, last))
    for i, score in ipairs(scores) do
      score = down and tonumber(score) or -score
      if #best < need or score > best[need][1] then
        local place = math.min(#best, need - 1)
        while place > 0 and best[place][1] < score do
          best[place + 1] = best[place]
          place = place - 1
        end
        best[place + 1] = { score, ids[first + i - 1] }
      end
    end
  end
end
for i = skip + 1, math.min(need, #best) do answer[#answer + 1] = row(best[i][2]) end
return answer
