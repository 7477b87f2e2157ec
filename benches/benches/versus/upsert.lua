-- upsert.lua: saves a record and its index entries, and removes those that it had before.
--
-- KEYS      the record
-- ARGV      its id, then age, gender, country_code ('' for null), created_at, name
--
-- Returns   1 for a new record, else 0
local key, id = KEYS[1], ARGV[1]
local names = { 'age', 'gender', 'country_code', 'created_at' }
local old = redis.call('HMGET', key, unpack(names))
for i = 1, 3 do
  local new = ARGV[i + 1] ~= '' and ARGV[i + 1]
  if old[i] ~= new then
    if old[i] then redis.call('SREM', 'user:' .. names[i] .. ':' .. old[i], id) end
    if new then
      redis.call('SADD', 'user:' .. names[i] .. ':' .. new, id)
      if i == 3 then redis.call('SADD', 'user:countries', new) end
    end
    if old[i] and not new then redis.call('HDEL', key, names[i]) end
  end
end
if old[1] ~= ARGV[2] then redis.call('ZADD', 'user:by:age', ARGV[2], id) end
if old[4] ~= ARGV[5] then redis.call('ZADD', 'user:by:created_at', ARGV[5], id) end
local fields = { 'name', ARGV[6], 'age', ARGV[2] }
if ARGV[3] ~= '' then fields[5], fields[6] = 'gender', ARGV[3] end
if ARGV[4] ~= '' then fields[#fields + 1], fields[#fields + 2] = 'country_code', ARGV[4] end
fields[#fields + 1], fields[#fields + 2] = 'created_at', ARGV[5]
redis.call('HSET', key, unpack(fields))
return old[1] and 0 or 1
