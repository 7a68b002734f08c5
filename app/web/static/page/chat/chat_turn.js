/** One question and its streamed answer. */

import { ApiError, stream } from "../api.js";

/** @typedef {import("./chat_message.js").Answer} Answer */
/** @typedef {{confirm_forget?: string[], confirm_forget_all?: "everything" | "today", forget_messages?: boolean}} Confirmation what to delete */

export class ChatTurn {
  /** @param {string} content @param {Confirmation} [confirmation] @param {string} [key] */
  constructor(content, confirmation, key = crypto.randomUUID()) {
    this.content = content;
    this.confirmation = confirmation;
    this.key = key;
    this.abort = new AbortController();
  }

  /** The same turn: if the server answered it already, it repeats that answer. */
  again() {
    return new ChatTurn(this.content, this.confirmation, this.key);
  }

  stop() {
    this.abort.abort();
  }

  /** @param {string} sessionId @param {Answer} answer @param {() => void} scroll */
  async run(sessionId, answer, scroll) {
    const body = { content: this.content, stream: true, ...this.confirmation };
    const path = `/v1/sessions/${sessionId}/messages`;
    let finished = false;
    try {
      for await (const { kind, data } of stream(path, body, { key: this.key, signal: this.abort.signal })) {
        finished = receive(kind, data, answer) || finished;
        scroll();
      }
    } catch (error) {
      if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
    } finally {
      // The answer is whole before its connection ends, and the next message can only be sent after both.
      answer.end();
    }
    if (!finished) answer.interrupt();
  }
}

/** @param {string} kind @param {any} data @param {Answer} answer @returns {boolean} whether the answer is complete */
function receive(kind, data, answer) {
  if (kind === "recalled") answer.showRecalled(data.memories, data.failed);
  else if (kind === "token") answer.addText(data.text);
  else if (kind === "message") answer.finish(data);
  else if (kind === "error") throw new ApiError(data.detail, { status: data.status, code: data.code });
  return kind === "message";
}
