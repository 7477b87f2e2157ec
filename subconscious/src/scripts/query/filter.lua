-- filter.lua: what scripts that answer queries share. It comes before the text of each of them.
-- KEYS, ARGV and Returns are those of that script; each library says which arguments it reads and
-- what it exports.
--
-- It is in stages, and what comes after it is in the last one: see `Script::new`.

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
