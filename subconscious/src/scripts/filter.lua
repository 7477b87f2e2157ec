-- filter.lua: what scripts that answer queries share. It comes before the text of each of them.
-- KEYS, ARGV and Returns are those of that script; each library says which arguments it reads and
-- what it exports.
--
-- It is in stages, and what comes after it is in the last one: see `Script::new`.

-- include rows.lua

-- stage
-- include budget.lua
-- include scratch.lua
-- include sorted_set.lua
-- include ready.lua

-- stage
-- include sets.lua
-- include nodes.lua

-- stage
-- include evaluate.lua
-- include tester.lua
