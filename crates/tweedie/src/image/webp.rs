//! What the WebP decoder does not say: how many frames there are, and whether it is lossy.

/// The chunks of a name: a frame of an animation is an `ANMF`, a lossy picture a `VP8 `. A WebP is a RIFF file: chunks of a
/// name, a length and so many bytes, filled up to an even number (WebP container specification).
pub(super) fn count(bytes: &[u8], wanted: &[u8; 4]) -> usize {
    let mut rest = bytes.get(12..).unwrap_or_default();
    let mut count = 0;
    while let Some((name, after)) = rest.split_first_chunk::<4>()
        && let Some((length, after)) = after.split_first_chunk::<4>()
    {
        count += usize::from(name == wanted);
        let length = u32::from_le_bytes(*length) as usize;
        rest = after.get(length.next_multiple_of(2)..).unwrap_or_default();
    }
    count
}
