-- begin.lua: the libraries of all scripts that answer queries, up to where it is known whether the
-- query can be answered. Other scripts include this file, and then filter.lua. KEYS, ARGV and
-- Returns are those of the including script. Each library says which arguments it reads and what it
-- exports.
--
-- The text has stages, and what follows belongs to the last one: see `Script::of_text`.

-- include shared/rows.lua

-- stage
-- include query/budget.lua
-- include query/scratch.lua
-- include query/sorted_set.lua
-- include query/ready.lua
