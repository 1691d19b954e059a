// The parts that all live pages share: addresses with parameters, and the state of the connection in the bar.

const status = document.querySelector(".status");

export function withQuery(url, parameters) {
  const whole = new URL(url, location.href);
  for (const [name, value] of Object.entries(parameters)) whole.searchParams.set(name, value);
  return whole;
}

export function say(state, text) {
  status.dataset.state = state;
  status.querySelector(".status-text").textContent = text;
}
