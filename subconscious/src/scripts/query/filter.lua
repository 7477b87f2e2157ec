-- filter.lua: the libraries of all scripts that answer queries. Other scripts include this file.
-- KEYS, ARGV and Returns are those of the including script. Each library says which arguments it
-- reads and what it exports.
--
-- The text has stages, and the rest of the including script belongs to the last one: see
-- `Script::of_text`.

-- include shared/rows.lua

-- stage
-- include query/budget.lua
-- include query/scratch.lua
-- include query/sorted_set.lua
-- include query/ready.lua

-- stage
-- include query/sets.lua
-- include query/nodes.lua

-- stage
-- include query/evaluate.lua
-- include query/tester.lua
-- include query/split.lua
