//! How a filter is run, and which way is the cheapest. Nothing here needs a connection.

pub(crate) mod cost;
pub(crate) mod program;

#[cfg(test)]
pub(crate) use program::BEYOND_ROWS;
pub(crate) use program::{Leaf, Node};

#[cfg(test)]
mod tests;
