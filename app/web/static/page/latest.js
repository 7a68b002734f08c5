/** Late answers never replace newer ones: only the last work that was begun may show its result. */

export class Latest {
  constructor() {
    this.last = 0;
  }

  /**
   * @template T
   * @param {() => Promise<T>} work
   * @param {(result: T) => void} show
   * @param {(error: unknown) => void} fail
   */
  async run(work, show, fail) {
    const own = (this.last += 1);
    try {
      const result = await work();
      if (own === this.last) show(result);
    } catch (error) {
      if (own === this.last) fail(error);
    }
  }
}
