// Follows an answer that grows, but only while its end is in view; whoever scrolled up reads undisturbed.

const NEAR = 64; // pixels from the end that still count as being there

export class Autoscroll {
  #following = true;
  #top = 0; // where this class scrolled to last
  #observer = new ResizeObserver(() => this.#grew()); // told after layout and before paint: nothing flickers

  constructor(scroller, button) {
    this.scroller = scroller;
    this.button = button;
    this.#observer.observe(scroller);
    this.#listen();
    button.addEventListener("click", () => {
      this.toEnd();
      scroller.focus({ preventScroll: true });
    });
  }

  /** Follows `content`, an element inside of the scroller, from its end. */
  follow(content) {
    this.#observer.disconnect();
    this.#observer.observe(this.scroller);
    this.#observer.observe(content);
    this.toEnd();
  }

  #grew() {
    if (this.scroller.scrollTop < this.#top - 1 && this.#distance() >= NEAR) this.#following = false; // its event is still to come
    if (this.#following) {
      this.scroller.scrollTop = this.scroller.scrollHeight;
      this.#top = this.scroller.scrollTop;
    }
    this.#showButton();
  }

  toEnd() {
    this.#following = true;
    this.#top = 0;
    this.#grew();
  }

  #listen() {
    this.scroller.addEventListener(
      "scroll",
      () => {
        this.#following = this.#distance() < NEAR;
        this.#showButton();
      },
      { passive: true },
    );
    this.scroller.addEventListener("click", (event) => {
      if (event.target.closest("summary")) this.#following = false; // what is unfolded stays in view
    });
  }

  #distance() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight;
  }

  #showButton() {
    this.button.hidden = this.#following || this.#distance() < NEAR;
  }
}
