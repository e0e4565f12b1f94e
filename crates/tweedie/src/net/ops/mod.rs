//! The operations that networks are built from.
//!
//! On the CPU they run in [`tweedie_kernels`], as custom operations of burn with their own gradients; on any other
//! device, and for any other float than f32, they are burn's stock operations. Networks are written once.

mod activation;
mod add;
mod attention;
mod block;
mod concat;
mod conv;
mod features;
mod memory;
mod norm;
mod norm_conv;
mod operation;
mod regroup;

pub(crate) use activation::silu;
pub(crate) use add::add;
pub(crate) use attention::attention;
pub(crate) use block::residual_block;
pub(crate) use concat::concat;
pub(crate) use conv::{
    conv1x1, conv1x1_concat, conv3x3, conv3x3_doubled, conv3x3_features, conv3x3_stride2,
};
pub(crate) use features::Features;
pub(crate) use memory::data;
pub(crate) use norm::{Norm, group_norm, group_norm_pool};
pub(crate) use norm_conv::NormConv;
pub(crate) use regroup::{average_pool, nearest_upsample, pixel_shuffle, pixel_unshuffle};

#[cfg(test)]
mod tests;
