-- stored.lua: refuses a call of a program that is not registered, and answers the stored schema.
-- Other scripts include this file in place. KEYS, ARGV and Returns are those of the including
-- script. This file uses its locals call and p.
return refuse('schema', unpack(call('HMGET', p .. KEY_META, STORED_FIELDS)))
