// Follows an answer that grows, but only while its end is in view; whoever scrolled up reads undisturbed.

const NEAR = 64; // pixels from the end that still count as being there

export class Autoscroll {
  #following = true;

  constructor(scroller, button) {
    this.scroller = scroller;
    this.button = button;
    this.#watch();
    button.addEventListener("click", () => {
      this.toEnd();
      scroller.focus({ preventScroll: true });
    });
  }

  /** The content has changed. */
  grew() {
    if (this.#following) this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#showButton();
  }

  toEnd() {
    this.#following = true;
    this.grew();
  }

  #watch() {
    this.scroller.addEventListener(
      "scroll",
      () => {
        this.#following = this.#distance() < NEAR;
        this.#showButton();
      },
      { passive: true },
    );
    new ResizeObserver(() => this.grew()).observe(this.scroller);
  }

  #distance() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight;
  }

  #showButton() {
    this.button.hidden = this.#following || this.#distance() < NEAR;
  }
}
