//! The built command, on real files.

mod files;
mod masks;
mod place;
mod verbs;
