-- switch.lua: replaces the stored schema of a model, and registers the program. From then on, all
-- other programs are refused until they have registered again. A part of describe.lua and
-- migrate.lua, which include this file. KEYS, ARGV and Returns are those of these scripts. This
-- file uses their locals call, meta and stored (the stored registrations are its third value).
for program in string.gmatch(stored[3] or '', '%S+') do call('HDEL', meta, program) end
for i, field in ipairs({ SWITCHED_FIELDS }) do
  if ARGV[3 + i] == '' then call('HDEL', meta, field) else call('HSET', meta, field, ARGV[3 + i]) end
end
call('HDEL', meta, 'built')
call('HSET', meta, 'programs', ARGV[3], ARGV[3], '1')
return 1
