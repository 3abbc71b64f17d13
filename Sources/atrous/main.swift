print("atrous")
