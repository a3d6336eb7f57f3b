//! The page's files.
