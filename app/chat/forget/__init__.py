from app.chat.forget.respond import ForgetReply, ask_what_to_forget, forget_confirmed

__all__ = ["ForgetReply", "ask_what_to_forget", "forget_confirmed"]
