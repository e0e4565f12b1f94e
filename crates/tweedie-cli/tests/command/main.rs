//! The built command, on real files.

mod arrays;
mod files;
mod guides;
mod masks;
mod place;
mod verbs;
