// The API key: in this tab until it is closed, or in this browser if the person wants it to be remembered.

const KEY = "youtu-edge-key";
const GIVEN = /^#key=([\w.-]+)$/; // as in the QR code of `youtu-edge keys add --qr`

let memory = null; // used instead if the browser blocks storage

export function key() {
  try {
    return sessionStorage.getItem(KEY) || localStorage.getItem(KEY) || memory;
  } catch {
    return memory;
  }
}

export function keepKey(value, remember) {
  try {
    sessionStorage.setItem(KEY, value);
    if (remember) localStorage.setItem(KEY, value);
  } catch {
    memory = value;
  }
}

export function isRemembered() {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return false;
  }
}

export function forgetKey() {
  memory = null;
  try {
    sessionStorage.removeItem(KEY);
    localStorage.removeItem(KEY);
  } catch {
    // There is nothing to forget.
  }
}

// At the end, when all of the above exists. The address must not keep the key: it is shown, and shared.
if (GIVEN.test(location.hash)) {
  keepKey(location.hash.match(GIVEN)[1], true);
  history.replaceState(null, "", location.pathname + location.search);
}
