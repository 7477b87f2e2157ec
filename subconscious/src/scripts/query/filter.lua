-- filter.lua: the libraries that say which rows match a filter. Other scripts include this file
-- after begin.lua. KEYS, ARGV and Returns are those of the including script. Each library says
-- which arguments it reads and what it exports. The text has stages, as that of begin.lua.

-- stage
-- include query/sets.lua
-- include query/nodes.lua

-- stage
-- include query/evaluate.lua
-- include query/tester.lua
-- include query/split.lua
