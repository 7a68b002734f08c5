/**
 * Calls the API. The access token stays in this tab's memory. The refresh token is in a cookie that no script can read;
 * where the server cannot set one, it is in this browser's storage.
 */

import { texts } from "./texts.js";

const STORED = "keepsake.refresh_token";
const PROJECT = "keepsake.project";
/** Stored instead of the token: the cookie holds it. */
const IN_COOKIE = "cookie";
/** The same, of a cookie that ends with the browser. Other tabs find here that there is one. */
const IN_SESSION_COOKIE = "session-cookie";

/** The code of the error. */
export const NOT_A_MEMBER = "not_a_member";
/** Codes of errors that the second factor mends. */
const FACTOR_NEEDED = ["second_factor_required", "insufficient_aal"];

/** @typedef {{id: string, email: string, created_at?: string, new_email?: string | null}} Account */
/** @typedef {{access_token: string, refresh_token: string | null, user?: Account}} Session */
/** @typedef {{headers?: Record<string, string>, signal?: AbortSignal, stay?: boolean}} Options */

export class ApiError extends Error {
  /** @param {string} message @param {{status?: number, code?: string, requestId?: string}} [more] */
  constructor(message, { status = 0, code = "", requestId = "" } = {}) {
    super(requestId && status >= 500 ? texts.withRequestId(message, requestId) : message);
    this.status = status;
    this.code = code;
    this.requestId = requestId;
  }
}

/** @type {string | null} */
let accessToken = null;
/** @type {Promise<boolean> | null} */
let refreshing = null;
/** @type {() => void} */
let onSignedOut = () => {};
let onProjectLost = () => {};
/** @type {() => Promise<boolean>} */
let confirmSecondFactor = async () => false;
/** @type {Promise<boolean> | null} */
let confirming = null;

/** @param {() => void} listener */
export function whenSignedOut(listener) {
  onSignedOut = listener;
}

/** @param {() => void} listener called when the chosen project was deleted, or the person is no longer a member of it */
export function whenProjectLost(listener) {
  onProjectLost = listener;
}

/** @param {() => Promise<boolean>} ask asks for the six digits, and resolves with whether they were right */
export function whenFactorNeeded(ask) {
  confirmSecondFactor = ask;
}

/** @param {Session} session @param {boolean} [stay] whether this browser remembers the person after it is closed */
export function keepSession(session, stay = isStaying()) {
  accessToken = session.access_token;
  const token = session.refresh_token ?? (stay ? IN_COOKIE : IN_SESSION_COOKIE);
  const isShared = stay || token === IN_SESSION_COOKIE;
  (isShared ? sessionStorage : localStorage).removeItem(STORED);
  (isShared ? localStorage : sessionStorage).setItem(STORED, token);
}

/** Takes over the session of a link, and moves its refresh token to where it belongs. @param {string} refreshToken */
export function adoptSession(refreshToken) {
  keepSession({ access_token: "", refresh_token: refreshToken }, false);
  return resume();
}

/** Whether the server can keep the refresh token in a cookie here. */
export function hasCookie() {
  return location.protocol === "https:" || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname);
}

export function isStaying() {
  return ![null, IN_SESSION_COOKIE].includes(localStorage.getItem(STORED));
}

export function forgetSession() {
  accessToken = null;
  for (const storage of [localStorage, sessionStorage]) storage.removeItem(STORED);
  localStorage.removeItem(PROJECT);
}

let ownId = "";

/** @param {Account} account */
export function rememberAccount(account) {
  ownId = account.id;
}

/** The user that a signed-in person is in their memories. */
export function ownUserId() {
  return ownId;
}

/** @param {string | null} id */
export function chooseProject(id) {
  if (id) localStorage.setItem(PROJECT, id);
  else localStorage.removeItem(PROJECT);
}

export function chosenProject() {
  return localStorage.getItem(PROJECT);
}

/** Whether a session may go on, as far as this browser knows. */
export function isSignedIn() {
  return storedToken() !== null;
}

function storedToken() {
  return localStorage.getItem(STORED) ?? sessionStorage.getItem(STORED);
}

/** Sign in again with the stored token. Tabs take turns, because a refresh token can be used once. */
export function resume() {
  refreshing ??= refreshInTurn();
  return refreshing;
}

async function refreshInTurn() {
  try {
    return await navigator.locks.request(STORED, refresh);
  } finally {
    refreshing = null;
  }
}

async function refresh() {
  const token = storedToken();
  if (!token) return false;
  const response = await send("POST", "/v1/auth/refresh", [IN_COOKIE, IN_SESSION_COOKIE].includes(token) ? {} : { refresh_token: token });
  if (response.ok) {
    const session = await response.json();
    // Another account has signed in in another tab, and the cookie is shared: this tab begins anew with it.
    if (ownId && session.user.id !== ownId) location.reload();
    keepSession(session);
    return true;
  }
  if (response.status !== 400 && response.status !== 401) throw await readError(response);
  forgetSession();
  return false;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Options} [more]
 */
async function send(method, path, body, { headers = {}, signal, stay = isStaying() } = {}) {
  const project = chosenProject();
  /** @type {Record<string, string>} */
  const all = { Accept: "application/json", ...headers };
  if (accessToken) all.Authorization = `Bearer ${accessToken}`;
  if (path.startsWith("/v1/auth/")) all["X-Refresh-Token"] = stay ? "lasting-cookie" : "cookie";
  else if (project && accessToken) all["X-Project-Id"] = project;
  const isFile = body instanceof File;
  if (body !== undefined) all["Content-Type"] = isFile ? "application/x-ndjson" : "application/json";
  const content = body === undefined || isFile ? body : JSON.stringify(body);
  try {
    return await fetch(path, { method, headers: all, signal, body: content });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(texts.offline, { code: "offline" });
  }
}

/**
 * The same, signed in: an access token that has ended is replaced once, and what needs the second factor asks for it.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Options} [more]
 */
async function sendSignedIn(method, path, body, more) {
  try {
    return await sendAccepted(method, path, body, more);
  } catch (error) {
    if (!(error instanceof ApiError) || !FACTOR_NEEDED.includes(error.code)) throw error;
    // Several requests of one view share the question.
    confirming ??= confirmSecondFactor().finally(() => (confirming = null));
    if (!(await confirming)) throw new ApiError(texts.factor.needed, { status: error.status, code: error.code });
    return await sendAccepted(method, path, body, more);
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Options} [more]
 */
async function sendAccepted(method, path, body, more) {
  const project = chosenProject();
  let response = await send(method, path, body, more);
  if (response.status === 401 && accessToken) {
    if (await resume()) response = await send(method, path, body, more);
    else onSignedOut();
  }
  if (response.ok) return response;
  const error = await readError(response);
  // Answers to several requests arrive, and only the first finds the project still chosen.
  if (error.code === NOT_A_MEMBER && project && project === chosenProject()) {
    chooseProject(null);
    onProjectLost();
  }
  throw error;
}

/** @param {Response} response */
async function readError(response) {
  const requestId = response.headers.get("X-Request-ID") ?? "";
  const type = response.headers.get("Content-Type") ?? "";
  const body = type.includes("json") ? await response.json() : {};
  const detail = typeof body.detail === "string" ? body.detail : texts.failed(response.status);
  return new ApiError(detail, { status: response.status, code: body.code ?? "", requestId });
}

/** @param {string} method @param {string} path @param {unknown} [body] @param {Options} [more] @returns {Promise<any>} */
export async function call(method, path, body, more) {
  const response = await sendSignedIn(method, path, body, more);
  return response.status === 204 ? null : response.json();
}

/** A file. @param {string} path @param {string} type */
export async function download(path, type) {
  const response = await sendSignedIn("GET", path, undefined, { headers: { Accept: type } });
  return response.blob();
}

/** @param {string} path @param {File} file @returns {Promise<any>} */
export async function upload(path, file) {
  const response = await sendSignedIn("POST", path, file);
  return response.json();
}

/** Every page of a list. @param {string} path @returns {Promise<any[]>} */
export async function listAll(path) {
  const found = [];
  let cursor = null;
  do {
    const joint = path.includes("?") ? "&" : "?";
    const page = await call("GET", cursor ? `${path}${joint}cursor=${encodeURIComponent(cursor)}` : path);
    found.push(...page.results);
    cursor = page.next;
  } while (cursor && found.length < 2000);
  return found;
}

/**
 * Server-sent events of a chat turn.
 * @param {string} path
 * @param {unknown} body
 * @param {{key: string, signal: AbortSignal}} turn `key` makes a repeated turn count once
 * @returns {AsyncGenerator<{kind: string, data: any}>}
 */
export async function* stream(path, body, { key, signal }) {
  const headers = { Accept: "text/event-stream", "Idempotency-Key": key };
  const response = await sendSignedIn("POST", path, body, { headers, signal });
  const reader = /** @type {ReadableStream<BufferSource>} */ (response.body).pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await readChunk(reader);
    if (done) return;
    buffer += value;
    const events = buffer.split("\n\n");
    buffer = events.pop() ?? "";
    for (const text of events) {
      const event = parseEvent(text);
      if (event) yield event;
    }
  }
}

/** @param {ReadableStreamDefaultReader<string>} reader */
async function readChunk(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(texts.connectionLost, { code: "offline" });
  }
}

/** @param {string} text */
function parseEvent(text) {
  let kind = "message";
  const data = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("event:")) kind = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return data.length ? { kind, data: JSON.parse(data.join("\n")) } : null;
}
