-- check_rows.lua: finds rows in use without a record, and index entries that records lack. This
-- file includes rows.lua, inspect.lua, ids.lua, index.lua and apply.lua.
--
-- KEYS[1], ARGV[1] and the following: see inspect.lua
-- then      the first row
--           the last row
--           1 to look only for rows without a record, else 0
--           rows that had no record before the indexes were checked, so that no entries of them are
--           left
--
-- Returns   { number of records, number of rows handed out, the rows without a record, found }: see
--           inspect.lua
--
-- A row without a record is freed only if it is among these rows, as a row that is used again must
-- have no entries left.

-- include shared/rows.lua
-- include upkeep/inspect.lua

local first, last, lost_only = tonumber(ARGV[rest + 1]), math.min(tonumber(ARGV[rest + 2]), rows - 1), ARGV[rest + 3] == '1'
local empty, lost, records = {}, {}, 0
for at = rest + 4, #ARGV do empty[ARGV[at]] = true end
local positions = #ARGV

-- Finds the index entries that the record lacks. If another record has a unique value of this one,
-- the function returns a refusal, and the next call leaves the column out.
local function enter(row, key, fields)
  local known, old, segment, offset = false, nil, nil, nil
  for i = 1, n do
    ARGV[positions + n + i] = fields[i + 1] or ''
    ARGV[positions + i] = fields[i + 1] and text('%d', positions + n + i) or '0'
  end
  -- include write/index.lua
  local missing = false
  for at = 0, planned - SLOTS, SLOTS do
    local step, target, comes, there = plan[at + SLOT_STEP], plan[at + SLOT_KEY], plan[at + SLOT_COMES], nil
    if step == STEP_UNIQUE then
      there = not comes or call('HGET', target, comes) == text('%d', row)
    elseif step == STEP_SORTED then
      there = not comes or tonumber(call('ZSCORE', target, comes) or '') == tonumber(plan[at + SLOT_SCORE])
      local scores = plan[at + SLOT_SCORES]
      if there and comes and scores then
        local number, first = tonumber(plan[at + SLOT_SCORE]), ZONES + row % PART * SCORE
        local stored = call('GETRANGE', scores, first, first + SCORE - 1)
        -- Eight zero bytes are null, and would be read as 0.
        local same = #stored == SCORE and string.find(stored, '[^%z]') and struct.unpack('<d', stored) == number
        if not same then target, there = scores, false end
      end
    elseif step == STEP_BITMAP then
      there = call('GETBIT', target, offset) == 1
    else
      there = call('SISMEMBER', target, step == STEP_LIST and mark or offset) == 1
    end
    if not there then
      missing = true
      report('missing', target, key, nil, true)
    end
  end
  if missing and repair then
    -- include write/apply.lua
  end
end

-- Compares the record's deadline and indexed values with the copies that the model keeps.
local function life(row, key, fields, id)
  local mark, chunk, slot = text('%d', row), p .. KEY_EXPIRING .. floor(row / CHUNK), row % CHUNK
  local deadline, noted = call('PEXPIRETIME', key), call('ZSCORE', p .. KEY_TTL, mark)
  if deadline < 0 then
    if noted then
      report('expiry', p .. KEY_TTL, key, noted .. ' and not for ever', true)
      if repair then
        call('ZREM', p .. KEY_TTL, mark)
        call('HDEL', chunk, slot)
      end
    end
    return
  end
  local packed, same = call('HGET', chunk, slot), tonumber(noted or '') == deadline
  if same and packed then
    local ok, kept = pcall(cmsgpack.unpack, packed)
    same = ok and type(kept) == 'table' and kept[''] == id
    for i = 1, n do same = same and (kept[ARGV[names + i]] or false) == fields[i + 1] end
  else
    same = false
  end
  if not same then
    local wrong = tonumber(noted or '') ~= deadline
    report('expiry', p .. KEY_TTL, key, wrong and (noted or 'nothing') .. ' and not ' .. text('%d', deadline) or 'its values', true)
    if repair then
      local kept = { [''] = id }
      for i = 1, n do kept[ARGV[names + i]] = fields[i + 1] or nil end
      call('HSET', chunk, slot, cmsgpack.pack(kept))
      call('ZADD', p .. KEY_TTL, text('%d', deadline), mark)
      if not due or deadline < tonumber(due) then
        due = text('%d', deadline)
        call('HSET', KEYS[1], 'due', due)
      end
    end
  end
end

for row = first, last do
  if is_live(row) and not is_due(row) then
    local id, mark = id_in(entry_of(row)), text('%d', row)
    local key = id and p .. KEY_RECORD .. id
    local fields = key and fields_of(key, '#', unpack(ARGV, names + 1, names + n))
    if fields and fields[1] == mark then
      records = records + 1
      if not lost_only then
        life(row, key, fields, id)
        local left_out = {}
        repeat
          local refused = enter(row, key, fields)
          if refused then
            for i = 1, n do
              if ARGV[names + i] == refused[3] then
                report('duplicate', p .. KEY_UNIQUE .. refused[3], key, refused[4])
                left_out[i], ARGV[specs + i] = ARGV[specs + i], '-'
              end
            end
          end
        until not refused
        for i, spec in pairs(left_out) do ARGV[specs + i] = spec end
      end
    elseif lost_only then
      lost[#lost + 1] = row
    else
      local segment = floor(row / SEGMENT)
      report('lost', p .. KEY_LIVE .. segment, key, mark, empty[mark])
      if repair and empty[mark] then
        call('SETBIT', p .. KEY_LIVE .. segment, row - segment * SEGMENT, 0)
        if width == 0 then call('HDEL', p .. KEY_DIRECTORY .. floor(row / CHUNK), row % CHUNK) end
        call('ZREM', p .. KEY_TTL, mark)
        call('HDEL', p .. KEY_EXPIRING .. floor(row / CHUNK), row % CHUNK)
        call('ZINCRBY', p .. KEY_FREE, 1, segment)
        call('HINCRBY', KEYS[1], 'count', -1)
      end
    end
  end
end
return { records, rows, lost, found }
