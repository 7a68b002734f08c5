/** Keeps the focus near its place when the focused element is replaced or removed, so that Tab goes on from there. */

/** @param {HTMLElement} root */
export function keepFocus(root) {
  /** @type {{element: HTMLElement, name: string, ancestors: HTMLElement[]} | null} */
  let last = null;
  root.addEventListener("focusin", (event) => {
    const element = /** @type {HTMLElement} */ (event.target);
    last = { element, name: nameOf(element), ancestors: ancestorsOf(element) };
  });
  new MutationObserver(() => {
    if (!last || last.element.isConnected || document.activeElement !== document.body) return;
    const place = last.ancestors.find((each) => each.isConnected && each !== root);
    if (place) focusIn(place, last.name);
  }).observe(root, { childList: true, subtree: true });
}

/** The element that took over the name of the lost one, else the place itself. @param {HTMLElement} place @param {string} name */
function focusIn(place, name) {
  const candidates = /** @type {NodeListOf<HTMLElement>} */ (place.querySelectorAll("a[href], button, input, select, textarea"));
  const same = [...candidates].find((each) => nameOf(each) === name);
  if (!same && !place.matches("a, button, input, select, textarea, summary")) place.setAttribute("tabindex", "-1");
  (same ?? place).focus({ preventScroll: true });
}

/** @param {HTMLElement} element */
function nameOf(element) {
  return element.getAttribute("aria-label") ?? element.textContent ?? "";
}

/** @param {HTMLElement} element */
function ancestorsOf(element) {
  const found = [];
  for (let each = element.parentElement; each; each = each.parentElement) found.push(each);
  return found;
}
