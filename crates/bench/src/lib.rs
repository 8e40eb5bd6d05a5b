//! Load generator: publishers and viewers in any number, measured from outside
