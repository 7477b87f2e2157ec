-- schema.lua: what a write does if its program is not registered, or if a migration is under way.
-- Other scripts include this file. KEYS, ARGV and Returns are those of the including script. This
-- file uses these locals of that script:
--
-- p, n, names, specs, known: as in index.lua
-- meta      its first value is what is stored for the program's registration
-- schema    the registration: see ModelSchema::registration
if meta[1] == '+' then
  -- A migration to this schema is under way. The migration and the writes fill the new indexes. A
  -- column whose old index is still being dropped is left alone; after a =, its values stay unique.
  local dropping = call('HGET', p .. KEY_META, 'dropping')
  for i = 1, dropping and n or 0 do
    if string.find(dropping, ':' .. ARGV[names + i] .. ':', 1, true) then
      ARGV[specs + i] = byte(dropping) == 61 and string.char(INDEX_NONE) .. sub(ARGV[specs + i], 2) or '-'
    end
  end
else
  local stored, indexes = call('HMGET', p .. KEY_META, 'schema', 'columns', 'types', 'count'), sub(schema, 1, 16)
  -- The indexes of a model without records are those of any schema. The caller stores its schema
  -- and calls again.
  if not known and tonumber(stored[4] or 0) == 0 then return refuse('describe') end
  if stored[1] ~= indexes and stored[1] ~= indexes .. '+' then
    return refuse('schema', stored[2] or stored[1] or '', stored[3] or '')
  end
  -- The caller compares the types, and registers.
  return refuse('columns', stored[3] or '')
end
