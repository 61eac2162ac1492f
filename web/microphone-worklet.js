// Pass the microphone's samples to the page, a tenth of a second at a time.

class Microphone extends AudioWorkletProcessor {
  constructor({ processorOptions: { channels } }) {
    super();
    this.blocks = Array.from({ length: channels }, () => new Float32Array(Math.round(sampleRate / 10)));
    this.filled = 0;
  }

  process([input]) {
    const samples = input[0]?.length ?? 0;
    for (let at = 0; at < samples; at++) {
      this.blocks.forEach((block, channel) => (block[this.filled] = input[channel][at]));
      if (++this.filled === this.blocks[0].length) {
        this.port.postMessage(this.blocks); // a copy
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("affekt-microphone", Microphone);
