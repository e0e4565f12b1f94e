//! The built command, on real files.

mod arrays;
mod bent;
mod conditional;
mod files;
mod guides;
mod masks;
mod place;
mod verbs;
