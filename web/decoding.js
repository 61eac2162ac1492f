// Decode recordings with the browser.

const SAMPLE_RATE = 16_000;

/** Decode a recording to mono at 16 kHz; see affekt.d.ts. */
export async function decode(recording) {
  if (recording.ok === false) throw new Error(`${recording.url} cannot be fetched: ${recording.status} ${recording.statusText}.`);
  const decoder = new OfflineAudioContext(1, 1, SAMPLE_RATE); // resamples what it decodes
  const audio = await decoder.decodeAudioData(await recording.arrayBuffer());
  const channels = Array.from({ length: audio.numberOfChannels }, (_, number) => audio.getChannelData(number));
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, sample) => channels.reduce((sum, channel) => sum + channel[sample], 0) / channels.length);
}
