// Asking for the token.

import { api, ApiError, token } from "./api";
import { h, setText } from "./dom";
import { t } from "./i18n";
import { mark } from "./icons";

/** The form, until a token is taken. `error` is what the server said. */
export function login(error: ApiError, done: () => void): HTMLElement {
  const field = h("input", {
    type: "password",
    id: "token",
    name: "token",
    autocomplete: "current-password",
    required: true,
    "aria-describedby": "token-help token-error",
    "data-testid": "login-token",
  });
  const wrong = h("p", { id: "token-error", class: "login-error", role: "alert", "data-testid": "login-error" });
  // 403: there is no token to compare with
  const text = t(error.status === 403 ? "login.refused" : "login.text");
  if (token.get() !== "" && error.status === 401) setText(wrong, t("login.wrong"));
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    token.set(field.value.trim());
    try {
      await api.console();
      done();
    } catch (again) {
      if (!(again instanceof ApiError)) throw again;
      if (again.fault !== "token") return setText(wrong, t("link.banner"));
      token.clear();
      setText(wrong, t(again.status === 403 ? "login.refused" : "login.wrong"));
      field.select();
    }
  };
  queueMicrotask(() => field.focus());
  return h(
    "main",
    { class: "login", "data-testid": "page-login" },
    h(
      "form",
      { class: "panel", onsubmit: (event: SubmitEvent) => void submit(event) },
      h("div", { class: "brand" }, mark(), "Weir"),
      h("h1", {}, t("login.title")),
      h("p", { id: "token-help" }, text),
      h("label", { for: "token" }, t("login.token")),
      field,
      wrong,
      h("button", { type: "submit", class: "primary", "data-testid": "login-submit" }, t("login.submit")),
    ),
  );
}
