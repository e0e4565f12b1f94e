//! What the WebP decoder does not say: how many frames there are.

/// The frames of an animation, 0 for a single picture. A WebP is a RIFF file: chunks of a name, a length and so many bytes,
/// filled up to an even number (WebP container specification).
pub(super) fn frames(bytes: &[u8]) -> usize {
    let mut rest = bytes.get(12..).unwrap_or_default();
    let mut frames = 0;
    while let Some((name, after)) = rest.split_first_chunk::<4>()
        && let Some((length, after)) = after.split_first_chunk::<4>()
    {
        frames += usize::from(name == b"ANMF");
        let length = u32::from_le_bytes(*length) as usize;
        rest = after.get(length.next_multiple_of(2)..).unwrap_or_default();
    }
    frames
}
