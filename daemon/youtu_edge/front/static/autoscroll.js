// Keeps the end of a growing answer in view, unless the reader has scrolled up.

const NEAR = 64; // pixels from the end within which scrolling down resumes following
const AT = 2; // browsers round positions

export class Autoscroll {
  #following = true;
  #top = 0; // the scroller's position when it was last looked at
  #observer = new ResizeObserver(() => this.#grew()); // runs after layout and before paint: nothing flickers

  constructor(scroller, button) {
    this.scroller = scroller;
    this.button = button;
    this.#observer.observe(scroller);
    scroller.addEventListener("scroll", () => this.#moved(), { passive: true });
    scroller.addEventListener("click", (event) => {
      if (event.target.closest("summary")) this.#following = false; // what is unfolded stays in view
    });
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

  toEnd() {
    this.#following = true;
    this.#top = 0;
    this.#grew();
  }

  #grew() {
    this.#moved(); // its scroll event may not have arrived yet
    if (this.#following) {
      this.scroller.scrollTop = this.scroller.scrollHeight;
      this.#top = this.scroller.scrollTop;
    }
    this.#showButton();
  }

  /** Only a person scrolls up. Distance from the end proves nothing: an answer may grow faster than events arrive. */
  #moved() {
    const { scrollTop } = this.scroller;
    const distance = this.#distance();
    if (distance < AT || (scrollTop > this.#top && distance < NEAR)) this.#following = true;
    else if (scrollTop < this.#top - AT) this.#following = false;
    this.#top = scrollTop;
    this.#showButton();
  }

  #distance() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight;
  }

  #showButton() {
    this.button.hidden = this.#following || this.#distance() < NEAR;
  }
}
