//! The built command, on real files.

mod files;
mod guides;
mod masks;
mod place;
mod verbs;
