// What a page must do while its server is silent, or before anybody looks at it: say that the server is lost, and sound an
// alarm. The strip (strip.html) has a beat and a number of alarms in its attributes; Streamlit renews them every second.
(() => {
  if (window.museumWatch) return;
  window.museumWatch = true;

  const LOST_AFTER = 10_000;
  const SOUND = "museum sound";
  const corner = document.body.appendChild(document.createElement("div"));
  corner.className = "watch";
  const lost = document.createElement("div");
  lost.setAttribute("role", "alert");
  const sound = corner.appendChild(document.createElement("button"));
  sound.title = "Whether a new emergency is sounded";
  let audio = null;
  let beat = null;
  let heardAt = Date.now();
  let alarms = null;
  let title = null;

  const isOn = () => localStorage.getItem(SOUND) === "on";
  // a browser lets a page be heard only after a click or a key on it
  const isAllowed = () => audio !== null && audio.state === "running";
  const showSound = () => {
    sound.setAttribute("aria-pressed", String(isOn()));
    sound.textContent = !isOn() ? "Alarm: off" : isAllowed() ? "Alarm: on" : "Alarm: on after a click";
  };
  const allow = async () => {
    if (!isOn()) return;
    audio ??= new AudioContext();
    if (audio.state !== "running") await audio.resume().catch(() => {});
    showSound();
  };
  const alarm = () => {
    if (!isOn() || !isAllowed()) return;
    [0, 0.35, 0.7].forEach((after) => {
      const tone = new OscillatorNode(audio, { frequency: 880, type: "square" });
      const volume = new GainNode(audio, { gain: 0.2 });
      tone.connect(volume).connect(audio.destination);
      tone.start(audio.currentTime + after);
      tone.stop(audio.currentTime + after + 0.2);
    });
    sound.dataset.sounded = String(Number(sound.dataset.sounded ?? 0) + 1);
  };
  sound.addEventListener("click", async () => {
    localStorage.setItem(SOUND, isOn() ? "off" : "on");
    await allow();
    showSound();
  });
  for (const event of ["click", "keydown"]) document.addEventListener(event, allow, true);

  // Streamlit applies a typed date when the focus leaves its field and calendar; so Enter moves it away, and back.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.role === "spinbutton" && event.target.closest('[data-testid="stDateInput"]')) {
      document.querySelector('[data-testid="stMain"]').focus({ preventScroll: true });
      setTimeout(() => event.target.focus({ preventScroll: true }), 50);
    }
  }, true);

  setInterval(() => {
    const strip = document.querySelector(".strip[data-beat]");
    if (strip && strip.dataset.beat !== beat) {
      beat = strip.dataset.beat;
      heardAt = Date.now();
      const count = Number(strip.dataset.alarms);
      if (alarms !== null && count > alarms) alarm();
      alarms = count;
      if (title !== null) {
        lost.remove();
        document.title = title;
        title = null;
      }
    } else if (beat !== null && title === null && Date.now() - heardAt > LOST_AFTER) {
      lost.textContent = `Nothing was heard from the server since ${beat}. What stands here may be old; load the page again if this stays.`;
      corner.prepend(lost);
      title = document.title;
      document.title = `⚠ lost since ${beat}`;
    }
  }, 500);
  showSound();
})();
