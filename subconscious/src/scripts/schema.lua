-- schema.lua: what a write does if the stored schema is not its program's. It is included in the place of a line that names
-- it; KEYS, ARGV and Returns are those of the script that includes it, and the locals p, n, names, specs, known, meta (whose first
-- value is the stored fingerprint) and schema (the program's).
if meta[1] == schema .. '+' then
  -- A migration to this schema is under way. It fills the new indexes and so do the writes; but what has the
  -- name of an index that is still being dropped is left alone.
  local dropping = call('HGET', p .. 'meta', 'dropping')
  for i = 1, dropping and n or 0 do
    if string.find(dropping, ':' .. ARGV[names + i] .. ':', 1, true) then ARGV[specs + i] = '-' end
  end
elseif known or tonumber(call('HGET', p .. 'meta', 'count') or 0) > 0 then
  return refuse('schema', call('HGET', p .. 'meta', 'columns') or meta[1] or '')
else
  -- The indexes of a model without records are those of any schema; the caller stores it and comes again.
  return refuse('describe')
end
