// A page opened from the disk may start no Worker: the program of the search runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = frame.contentWindow;
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.inside = new Promise((loaded) => {
        const script = inside.document.createElement("script");
        script.src = url;
        script.onload = () => loaded(inside);
        inside.document.body.append(script);
      });
    }

    postMessage(data) {
      this.inside.then((it) => it.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {}
  };
}
