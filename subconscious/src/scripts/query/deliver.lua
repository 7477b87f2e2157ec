-- deliver.lua: the page that query.lua answers. Query.lua includes this file after scan.lua. KEYS,
-- ARGV and Returns are those of query.lua.
--
-- Exports   wanted, order, descending, nulls, index   ARGV[6], and ARGV[9] to ARGV[12]
--           skip             number of matching rows still to skip
--           found            number of rows in the page
--           taken, why       the way, and why it was chosen; the second only if the client asked
--                            how long the call took
--           expected, evaluating, bitmaps   of the reply: see query.lua
--           deliver(row, code, mark, other)   adds a row to the page, or skips it. Returns whether
--                            the page is full. The others are the position of the row: see scan.lua
--           answer(more)     the reply

local wanted, skip, order = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[9]
local descending, nulls, index = ARGV[10] == 'desc', ARGV[11], byte(ARGV[12])
local taken, why, expected, evaluating, bitmaps = 'row scan', '', -1, 0, {}
local rows, found, first = {}, 0, { '', '', '' }
-- Position in ARGV of the last field to read; nil for ids.
local fields = ARGV[5] == 'page' and 17 + ARGV[17] or nil
-- Bytes of the fields. Lua reads each byte of a text when it receives or makes the text.
local bytes = 0

local function deliver(row, code, mark, other)
  if skip > 0 then
    skip = skip - 1
    return false
  end
  if found == 0 then first = { code, mark, other or '' } end
  found = found + 1
  effort = effort + DELIVERED
  local entry = entry_of(row)
  local n = #rows
  rows[n + 1], rows[n + 2] = row, entry
  if fields then
    local id = id_in(entry)
    local record = id and call('HMGET', p .. KEY_RECORD .. id, '#', unpack(ARGV, 18, fields))
    record = record and record[1] == text('%d', row) and record or {}
    rows[n + 3] = record
    local length = 0
    for i = 2, #record do length = length + #(record[i] or '') end
    bytes, effort = bytes + length, effort + length * DELIVERED_BYTE
  end
  return found == wanted
end

local function answer(more)
  local head = {
    more and 1 or 0, position[1], position[2], position[3], skip, first[1], first[2], first[3],
    took(), looked, taken, expected, evaluating, since(), handed, why,
  }
  -- Packing a row saves three microseconds in the server and in the client, as many as Lua takes
  -- for 2,000 bytes.
  return { cmsgpack.pack(head), bitmaps, bytes <= 2000 * found and cmsgpack.pack(rows) or rows }
end
