/** What the model file says about itself. */
export interface Metadata {
  name: string;
  licence: string;
  labels: string[];
  sample_rate: 16000;
  /** Samples of a window. */
  window: number;
  /** Samples between the starts of two windows. */
  hop: number;
}

/** A loaded model, which any number of streams share. */
export interface Model {
  readonly metadata: Metadata;
  /** Release the memory, after the work under way. Streams of the model then reject samples. */
  close(): Promise<void>;
}

export interface LoadOptions {
  /** Hexadecimal SHA-256 digest of the file. Needs a page from HTTPS or localhost. */
  sha256?: string;
  /** Run the model in a worker, so that the page stays responsive; false by default. */
  worker?: boolean;
}

/**
 * Load a model.
 * @param source - address or content of a file that `affekt export` wrote.
 * @returns Rejected if the file cannot be fetched, has another digest, or is no such model.
 */
export function load(source: string | URL | Uint8Array, options?: LoadOptions): Promise<Model>;

/** Probability in [0, 1] of each label. */
export type Probabilities = Record<string, number>;

/** The prediction after one window. */
export interface Segment {
  /** Seconds since the start of the audio. */
  start: number;
  /** Seconds since the start of the audio. */
  end: number;
  label: string;
  /** Of the audio until `end`; older audio counts less. */
  probabilities: Probabilities;
  /** Of the last seconds, where the model tells them apart. */
  recent?: Probabilities;
}

/** Voice statistics of one speaker. */
export interface Profile {
  /** Kind of model that the profile works with. */
  of: string;
  state: Record<string, Float32Array>;
}

export interface StreamOptions {
  /** Adapt the speaker profile to the audio; false by default. */
  adapt?: boolean;
  /** Start from this profile; from none by default. */
  profile?: Profile;
}

/** Predict audio of one speaker, in blocks of any size. */
export class Stream {
  /** @throws {Error} The profile is of another kind of model. */
  constructor(model: Model, options?: StreamOptions);
  /** The adapted speaker profile; undefined before the first speech. */
  readonly profile: Profile | undefined;
  /**
   * Predict each window that the samples complete.
   * @param samples - mono, 16 kHz, in [-1, 1]; any number.
   * @returns If it is rejected, the stream is unchanged.
   */
  push(samples: ArrayLike<number>): Promise<Segment[]>;
  /** Predict the remaining samples. The next ones are new audio of the same speaker. */
  flush(): Promise<Segment[]>;
}

/**
 * Read the profile file that `affekt enroll` or `writeProfile` wrote.
 * @throws {Error} It is another file, or the browser has no numbers in float16.
 */
export function readProfile(model: Model, file: Uint8Array): Profile;

/**
 * Write a profile as a file, which `affekt predict --profile` reads too.
 * @throws {Error} The browser has no numbers in float16.
 */
export function writeProfile(model: Model, profile: Profile): Uint8Array<ArrayBuffer>;

/**
 * Decode a recording to mono at 16 kHz.
 * @param recording - in a format that the browser reads.
 * @returns Samples in [-1, 1]. Rejected if it was not fetched, or if the browser cannot decode it.
 */
export function decode(recording: Blob | Response): Promise<Float32Array>;

export interface MicrophoneOptions {
  /** Hz of the samples; that of the microphone by default. */
  sampleRate?: number;
  /** Channels of the microphone, passed on separately; 1 by default. */
  channels?: number;
  /** Called when the microphone is disconnected. */
  onEnd?: () => void;
}

/** A microphone that is on. */
export interface Microphone {
  /** Hz of the samples. */
  readonly sampleRate: number;
  /** No samples follow. */
  stop(): void;
}

/**
 * Start the microphone.
 * @param onSamples - called with the samples of each channel, ten times a second.
 * @returns Rejected if the page may not use a microphone, or if that has fewer channels.
 */
export function startMicrophone(
  onSamples: (...channels: Float32Array[]) => void,
  options?: MicrophoneOptions,
): Promise<Microphone>;
