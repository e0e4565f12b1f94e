//! What priors, operators, methods and runs promise each other, and what becomes of a promise that cannot be kept.

mod bent;
mod draws;
mod edges;
mod fixture;
mod holes;
mod limits;
mod matrix;
mod needs;
mod operators;
mod runs;
mod samplers;
