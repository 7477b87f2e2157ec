-- scores.lua: writes the score of a row into its part. Other scripts include this file in place.
-- KEYS, ARGV and Returns are those of the including script. This file uses these locals of that
-- script:
--
-- plan, at    the plan of index.lua, and the place before the slots of a step
-- row, part, score_at   the row, its part, and where its score is in the part, as text
-- comes       false if the row has no value any more
-- scores      the key of the part
local zone, number, bytes = plan[at + SLOT_ZONE], comes and tonumber(plan[at + SLOT_SCORE]), nil
if zone then
  -- The string is allocated at its full size at once, except that of the first part, as a model may
  -- have few records.
  if row >= PART and call('EXISTS', scores) == 0 then call('SETRANGE', scores, ZONES + PART * SCORE - 1, '\0') end
  call('SETRANGE', scores, PART_ZONE, sub(zone, 1, ZONE))
  if zones then zones[scores] = sub(zone, 1, ZONE) end
  if #zone > ZONE then
    call('SETRANGE', sub(scores, 1, -1 - #text('%d', part)) .. text('%d', part - part % PARTS), SEGMENT_ZONE, sub(zone, ZONE + 1))
  end
end
-- Eight zero bytes are null, so 0 is stored as -0.
if number == 0 then
  bytes = '\0\0\0\0\0\0\0\128'
else
  bytes = number and struct.pack('<d', number) or '\0\0\0\0\0\0\0\0'
end
if zone ~= nil then call('SETRANGE', scores, score_at, bytes) end
